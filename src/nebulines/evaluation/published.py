"""Numbers of the papers that nebulines is judged beside, read from cited tables."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any

from nebulines.errors import UsageError


@functools.cache
def published(name: str) -> dict[str, Any]:
    """A paper's numbers.

    Args:
        name: of the table, such as ``rhea2020``.

    Returns:
        The tables of the file: ``citation``, and what the paper gives.

    Raises:
        UsageError: no such table.

    Example:
        >>> [row["velocity"] for row in published("rhea2020")["scatter"]]
        [5.0, 3.0, 75.0]
    """
    folder = Path(__file__).parent / "data"
    path = folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise UsageError(f"no published numbers {name!r}: there are those of {known}")
    return tomllib.loads(path.read_text(encoding="utf-8"))

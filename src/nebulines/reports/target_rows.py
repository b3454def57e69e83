"""What was asked for beside what was reached: the table that reports open with."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from nebulines.evaluation.tables import markdown
from nebulines.reports.section import Section


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        what: was asked, with its unit, of whom.
        limit: in words.
        reached: the number, or a text.
        error: its sampling error, where it is known.
        passed: whether the limit is kept.
        beside: a bound, or what else stands beside it.
    """

    what: str
    limit: str
    reached: float | str
    error: float | None
    passed: bool
    beside: str | None = None


def target_section(text: str, rows: Iterable[Row]) -> Section:
    """The section of rows, with a text above.

    Example:
        >>> section = target_section("Speed.", [Row("spectra/s", "at least 5", 6.0, None, True)])
        >>> "| spectra/s | at least 5 | 6.00 | yes |" in section.parts[1]
        True
    """
    rows = list(rows)
    errors = any(row.error is not None for row in rows)
    head = ["target", "limit", "reached", *(["±"] if errors else []), "", "beside it"]
    cells = [
        [row.what, row.limit, row.reached, *([row.error] if errors else []),
         "yes" if row.passed else "**no**", row.beside]
        for row in rows
    ]  # fmt: skip
    return Section([text, markdown(head, cells)], {"rows": [row._asdict() for row in rows]})


@functools.cache
def wanted(name: str) -> dict[str, Any]:
    """Targets, from ``data/NAME.toml``.

    Raises:
        FileNotFoundError: there are none of that name.

    Example:
        >>> wanted("width_targets")["spread"]["ks"]
        0.03
    """
    path = Path(__file__).parent / "data" / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))

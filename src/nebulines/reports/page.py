"""What every report shares: a Markdown page, a JSON file, and how they came to be."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nebulines
from nebulines.errors import UsageError
from nebulines.io.atomic import atomic_path


def prepare_folder(folder: Path) -> Path:
    """Make the folder of a report.

    Raises:
        UsageError: its name is that of a file, or it cannot be made.

    Example:
        >>> import tempfile
        >>> prepare_folder(Path(tempfile.mkdtemp()) / "report").name
        'report'
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made: {error}") from error
    return folder


def made_by(command: str) -> str:
    """The line that says how a page was made: command, date, processor, versions.

    Example:
        >>> made_by("nebulines evaluate fit").startswith("`nebulines evaluate fit`, ")
        True
    """
    libraries = ", ".join(f"{name} {version(name)}" for name in ("jax", "numpy", "scipy"))
    day = datetime.now(UTC).date().isoformat()
    machine = f"{platform.machine()}, {os.cpu_count()} logical cores, {_device()}"
    return (
        f"`{command}`, {day}; {machine}; Python {platform.python_version()}, "
        f"nebulines {nebulines.__version__}, {libraries}."
    )


def _device() -> str:
    import jax

    device = jax.devices()[0]
    return "no GPU" if device.platform == "cpu" else device.device_kind


def write_page(path: Path, title: str, command: str, parts: Sequence[str]) -> Path:
    """Write a Markdown page: title, how it was made, parts with a blank line between."""
    text = "\n\n".join([f"# {title}", made_by(command), *parts]) + "\n"
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def write_numbers(path: Path, command: str, numbers: dict[str, Any]) -> Path:
    """Write numbers as JSON; those that are not finite become null."""
    text = json.dumps({"command": command} | _finite(numbers), indent=1)
    with atomic_path(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return path


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def pictures(paths: Sequence[Path]) -> str:
    """The PNG files among the paths as Markdown images.

    Example:
        >>> pictures([Path("out/a.png"), Path("out/a.pdf")])
        '![a](a.png)'
    """
    return "\n\n".join(f"![{path.stem}]({path.name})" for path in paths if path.suffix == ".png")

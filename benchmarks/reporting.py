"""Where numbers go: Markdown tables, JSON, and what they were measured on."""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("nebulines", "jax", "numpy", "scipy", "astropy", "h5py")
_PRIVATE = ("--arc", "--luci", "--data", "--output", "--scratch", "--lists", "--teacher", "--cube")
"""Options whose values are places on this machine."""


def environment() -> dict[str, str]:
    """Command, date, processor and versions: what a number needs beside it."""
    return {
        "command": command(sys.argv),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": f"{_processor()}, {os.cpu_count()} logical cores",
        "memory": f"{_memory_gb():.0f} GB",
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def command(arguments: Sequence[str]) -> str:
    """The command as it can be typed again, places on this machine left out."""
    words, skip = [], False
    for word in arguments[1:]:
        if not skip and not word.startswith(tuple(f"{name}=" for name in _PRIVATE)):
            words.append(f"{word} PATH" if word in _PRIVATE else word)
        skip = not skip and word in _PRIVATE
    module = Path(arguments[0]).stem
    return " ".join(["python", "-m", f"benchmarks.{module}", *words])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _memory_gb() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError):
        return float("nan")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def judged(
    value: float, *, most: float | None = None, least: float | None = None, error: float = 0.0
) -> str:
    """PASS or FAIL against one or two limits, both allowed; ``pass~`` for a value outside them
    by no more than two of its standard errors: too few spectra to tell.

    Example:
        >>> judged(1.02, most=1.03), judged(0.64, least=0.66, most=0.71)
        ('PASS', 'FAIL')
        >>> judged(1.04, most=1.03, error=0.01)
        'pass~'
    """
    above = 0.0 if most is None else value - most
    below = 0.0 if least is None else least - value
    miss = max(above, below)
    if miss <= 0.0:
        return "PASS"
    return "pass~" if miss <= 2.0 * error else "FAIL"


def save(name: str, title: str, facts: dict[str, Any], body: str) -> list[Path]:
    """Write ``results/NAME.json`` and ``results/NAME.md``."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    known = environment()
    data = RESULTS / f"{name}.json"
    text = json.dumps(_rounded({"environment": known, **facts}), indent=1)
    data.write_text(text + "\n", encoding="utf-8")
    page = RESULTS / f"{name}.md"
    page.write_text(f"# {title}\n\n{_preamble(known)}\n\n{body.strip()}\n", encoding="utf-8")
    return [data, page]


def _rounded(value: Any) -> Any:
    """Plain values with six significant digits, NaN as null."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def _preamble(known: dict[str, str]) -> str:
    versions = ", ".join(f"{name} {known[name]}" for name in ("python", *_PACKAGES))
    return (
        f"`{known['command']}`, {known['date']}, {known['processor']}, {known['memory']} of "
        f"memory; {versions}."
    )

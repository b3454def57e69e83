"""What a run to files hands back: the files and a few sentences on what was found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.io.atomic import atomic_path
from nebulines.spectra import Flag

_QUIET = Flag.MASKED_CHANNELS | Flag.UNRESOLVED


@dataclass(frozen=True)
class Outputs:
    """Files of a finished run.

    Attributes:
        paths: the files, the most wanted first.
        summary: what was found, one sentence a line.
    """

    paths: tuple[Path, ...]
    summary: tuple[str, ...]


def summarise(
    columns: Mapping[str, np.ndarray], seconds: float, n_fitted: int, *, rows: str = "spectra"
) -> tuple[str, ...]:
    """Sentences on the measurements of a run.

    Args:
        columns: at least ``flags``; ``velocity`` and ``broadening`` are used when present.
        seconds: time that the run took.
        n_fitted: number of spectra fitted in that time.
        rows: what a row of the columns is.

    Example:
        >>> columns = {"flags": np.array([0, 2]), "velocity": np.array([12.0, np.nan])}
        >>> for line in summarise(columns, 8.0, 2)[:2]:
        ...     print(line)
        fitted 2 spectra in 8.0 s (0.25/s)
        lines detected in 1 of 2 spectra; median velocity 12 km/s
    """
    flags = np.asarray(columns["flags"]).ravel()
    fitted = (flags & Flag.NO_DATA) == 0
    found = fitted & ((flags & Flag.LOW_SNR) == 0)
    rate = n_fitted / max(seconds, 1e-9)
    speed = f"{rate:.0f}" if rate >= 10.0 else f"{rate:.2g}"
    first = f"fitted {n_fitted} spectra in {seconds:.1f} s ({speed}/s)"
    medians = []
    for name in ("velocity", "broadening"):
        values = np.asarray(columns[name]).ravel()[found] if name in columns else np.array([])
        if np.isfinite(values).any():
            medians.append(f"median {name} {np.nanmedian(values):.0f} km/s")
    second = "; ".join([f"lines detected in {found.sum()} of {len(flags)} {rows}", *medians])
    return first, second, _flagged(flags)


def _flagged(flags: np.ndarray) -> str:
    counts = {flag.name: int(np.count_nonzero(flags & flag)) for flag in Flag}
    told = [f"{name} {count}" for name, count in counts.items() if count]
    clean = int(np.count_nonzero((flags & ~int(_QUIET)) == 0))
    return f"{clean} without a warning" + (f"; flags: {', '.join(told)}" if told else "")


def write_config(path: Path, fit: Mapping[str, Any], run: Mapping[str, Any]) -> Path:
    """Write a resolved configuration that ``--config`` reads back.

    Args:
        path: the TOML file.
        fit: options of the fit (``[fit]``).
        run: options of the run (``[run]``): instrument, bin ...

    A value of None is left out: it stands for the default.
    """
    lines = []
    for table, options in (("fit", fit), ("run", run)):
        lines.append(f"[{table}]")
        lines += [f"{key} = {_toml(value)}" for key, value in options.items() if value is not None]
        lines.append("")
    with atomic_path(path) as partial:
        partial.write_text("\n".join(lines), encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    """A number, text or list as TOML (whose basic strings and arrays are those of JSON)."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, bool) or not isinstance(value, float):
        return json.dumps(value, ensure_ascii=False)
    return repr(float(value))

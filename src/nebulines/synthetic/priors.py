"""What simulated sources are like: ranges of line ratios and of instrument resolution."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.lines import tied_groups

Range = tuple[float, float]

RESOLUTION_RANGES: dict[str, Range] = {"sitelle-sn3": (4800.0, 5000.0)}
"""Range of R drawn when none is asked for (Rhea et al. 2020, ApJ 901, 152); an instrument that
is absent here keeps its own line spread."""


def uniform(
    generator: np.random.Generator,
    limits: Range,
    size: int,
    *,
    name: str,
    least: float = -np.inf,
    zero: bool = True,
) -> np.ndarray:
    """``size`` draws from a range (low, high), float64; low = high gives a constant.

    Args:
        limits: (low, high).
        name: of the quantity, for messages.
        least: smallest ``low`` that makes sense.
        zero: whether ``low`` may be ``least`` itself.

    Raises:
        UsageError: not two finite numbers, low at most high, from ``least`` on.

    Example:
        >>> uniform(np.random.default_rng(0), (2.0, 2.0), 3, name="snr").tolist()
        [2.0, 2.0, 2.0]
    """
    low, high = check_range(limits, name=name, least=least, zero=zero)
    return generator.uniform(low, high, size)


def check_range(
    limits: Any, *, name: str, least: float = -np.inf, zero: bool = True
) -> tuple[float, float]:
    """A range as two floats, or a clear refusal; arguments as in `uniform`.

    Example:
        >>> check_range([5, 30], name="snr")
        (5.0, 30.0)
    """
    try:
        low, high = (float(x) for x in limits)
    except (TypeError, ValueError):
        raise UsageError(f"{name} must be two numbers, low and high; got {limits!r}") from None
    if not (np.isfinite([low, high]).all() and low <= high):
        raise UsageError(f"{name} must be two finite numbers, low first; got {low}, {high}")
    if low < least or (low == least and not zero):
        raise UsageError(
            f"{name} must start {'at or ' if zero else ''}above {least:g}; got {low:g}"
        )
    return low, high


def draw_fluxes(
    generator: np.random.Generator,
    names: Sequence[str],
    n: int,
    ratios: Mapping[str, Range] | None = None,
    *,
    known: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Line fluxes relative to H-alpha, each ratio drawn from its own range.

    Args:
        names: L lines.
        n: spectra.
        ratios: ranges that replace the built-in ones, {name: (low, high)}, relative to the
            same line as the built-in row of that name (H-alpha for most).
        known: {name: (n,)} fluxes drawn already, which are kept where ``ratios`` does not
            name the line and no fixed ratio sets it.

    Returns:
        (n, L).

    Raises:
        UsageError: a range is wrong, or names a line that is not simulated.

    Example:
        >>> fluxes = draw_fluxes(np.random.default_rng(1), ["HALPHA6563", "NII6583"], 2)
        >>> fluxes[:, 0].tolist()
        [1.0, 1.0]
    """
    own = dict(ratios or {})
    if unknown := sorted(set(own) - set(names)):
        raise UsageError(f"ratios: {', '.join(unknown)} not among the lines {', '.join(names)}")
    drawn = {name: flux for name, flux in (known or {}).items() if name not in own}

    def flux_of(name: str) -> np.ndarray:
        if name not in drawn:
            row = _ranges().get(name, _ranges()["default"])
            limits = own.get(name, row["range"])
            ratio = uniform(generator, limits, n, name=f"ratio of {name}", least=0.0)
            drawn[name] = ratio if row["of"] == name else ratio * flux_of(row["of"])
        return drawn[name]

    for tie in tied_groups(names):
        if tie.weak not in own:
            drawn[tie.weak] = flux_of(tie.strong) / tie.ratio
    return np.stack([flux_of(name) for name in names], axis=1)


@functools.cache
def _ranges() -> dict[str, dict]:
    path = Path(__file__).parent / "data" / "line_ratios.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))

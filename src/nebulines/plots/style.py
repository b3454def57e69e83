"""What the figures of nebulines share: fonts, colours, and the way a figure is saved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nebulines.io.atomic import atomic_path
from nebulines.io.units import normalise_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DATA_COLOUR = "0.15"
NOISE_COLOUR = "0.80"
FIT_COLOUR = "#D55E00"
"""Vermillion of the colour-blind-safe palette of Okabe & Ito (2008)."""
LINE_COLOUR = "#0072B2"
"""Blue of the same palette, for line positions."""

RC: Any = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "mathtext.default": "regular",
    "hatch.linewidth": 0.4,
    "pdf.fonttype": 42,
}
"""Matplotlib settings, applied with `matplotlib.rc_context` only, never globally."""

_DOTS_PER_INCH = 200


def save_figure(
    figure: Figure, stem: str | os.PathLike[str], *, formats: tuple[str, ...] = ("png", "pdf")
) -> list[Path]:
    """Write a figure as ``stem.png``, ``stem.pdf`` ..., whole or not at all.

    Args:
        figure: a matplotlib figure.
        stem: path without the ending.
        formats: endings that matplotlib can write.

    Returns:
        The paths, in the order of ``formats``.

    Raises:
        UsageError: the folder is missing or read-only.

    Example:
        >>> import tempfile
        >>> from matplotlib.figure import Figure
        >>> [p.name for p in save_figure(Figure(), Path(tempfile.mkdtemp()) / "empty")]
        ['empty.png', 'empty.pdf']
    """
    import matplotlib

    paths = []
    for ending in formats:
        path = Path(f"{os.fspath(stem)}.{ending}")
        stamp = {"CreationDate": None} if ending == "pdf" else None
        with atomic_path(path) as partial, matplotlib.rc_context(RC):
            figure.savefig(partial, format=ending, dpi=_DOTS_PER_INCH, metadata=stamp)
        paths.append(path)
    return paths


def unit_label(unit: str) -> str:
    """A FITS unit string typeset for a figure; a string that is no unit is kept as it is.

    Example:
        >>> unit_label("10**(-20)*erg/s/cm**2/Angstrom")
        '$10^{-20}$ erg s$^{-1}$ cm$^{-2}$ $\\\\mathrm{\\\\AA}$$^{-1}$'
        >>> unit_label("counts of mine")
        'counts of mine'
    """
    from astropy.units import Unit

    try:
        parsed = Unit(normalise_unit(unit))
    except (ValueError, TypeError):
        return unit
    scale = "" if parsed.scale == 1 else _power_of_ten(parsed.scale) + " "
    powers = sorted(zip(parsed.bases, parsed.powers, strict=True), key=_reading_order)
    return scale + " ".join(_typeset(base.name, power) for base, power in powers)


_ORDER = ("erg", "W", "J", "ph", "s", "cm", "m", "Angstrom", "AA", "nm", "um")


def _reading_order(item: tuple[Any, Any]) -> tuple[bool, int]:
    """Positive powers first, then as astronomers write them: erg s-1 cm-2 A-1."""
    base, power = item
    return power < 0, _ORDER.index(base.name) if base.name in _ORDER else len(_ORDER)


def _typeset(name: str, power: Any) -> str:
    name = {"Angstrom": r"$\mathrm{\AA}$", "AA": r"$\mathrm{\AA}$"}.get(name, name)
    return name if power == 1 else f"{name}$^{{{power}}}$"


def _power_of_ten(scale: float) -> str:
    from math import floor, log10

    exponent = floor(log10(scale) + 1e-9)
    mantissa = scale / 10.0**exponent
    front = "" if abs(mantissa - 1) < 1e-9 else rf"{mantissa:.3g} $\times$ "
    return f"{front}$10^{{{exponent}}}$"

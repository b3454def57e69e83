"""Fluxes and ratios of lines by name, sums of doublets included."""

from __future__ import annotations

import numpy as np

from nebulines.errors import UsageError
from nebulines.lines import load_ties
from nebulines.nebular.propagation import Fluxes

SUMS: dict[str, tuple[str, ...]] = {
    "SII": ("SII6716", "SII6731"),
    "OII": ("OII3726", "OII3729"),
    "OIII": ("OIII4959", "OIII5007"),
    "NII": ("NII6548", "NII6583"),
    "SIII": ("SIII9069", "SIII9531"),
}
"""Names of sums of lines; a flux under such a name (an unresolved doublet) is taken as it is."""


def has_line(fluxes: Fluxes, name: str) -> bool:
    """Whether `line_flux` can tell the flux of a line or sum.

    Example:
        >>> has_line({"OIII5007": 1.0}, "OIII"), has_line({"SII6716": 1.0}, "SII")
        (True, False)
    """
    try:
        line_flux(fluxes, name)
    except UsageError:
        return False
    return True


def line_flux(fluxes: Fluxes, name: str) -> np.ndarray:
    """Flux of a line or of a sum of lines (`SUMS`).

    A line that is not there, but whose partner of fixed ratio is, follows from the partner
    ([O III] 4959 from 5007, [N II] 6548 from 6583, ...).

    Args:
        fluxes: {line: (...)}.
        name: a line, or one of `SUMS`.

    Returns:
        (...) in the unit of the fluxes.

    Raises:
        UsageError: the line is not among the fluxes.

    Example:
        >>> float(line_flux({"SII6716": 1.5, "SII6731": 1.0}, "SII"))
        2.5
    """
    if name in fluxes:
        return np.asarray(fluxes[name], float)
    if name in SUMS:
        return np.sum([line_flux(fluxes, part) for part in SUMS[name]], axis=0)
    for tie in load_ties():
        if name == tie.weak and tie.strong in fluxes:
            return np.asarray(fluxes[tie.strong], float) / tie.ratio
        if name == tie.strong and tie.weak in fluxes:
            return np.asarray(fluxes[tie.weak], float) * tie.ratio
    raise UsageError(f"the line {name} is needed; these fluxes hold {', '.join(fluxes)}")


def log_ratio(fluxes: Fluxes, ratio: str) -> np.ndarray:
    """log10 of a ratio of two lines or sums; NaN where a flux is not positive.

    Args:
        fluxes: {line: (...)}.
        ratio: ``TOP/BOTTOM``, for example ``SII/HALPHA6563``.

    Raises:
        UsageError: a line is missing, or the ratio is not of that form.

    Example:
        >>> float(log_ratio({"NII6583": 30.0, "HALPHA6563": 300.0}, "NII6583/HALPHA6563"))
        -1.0
    """
    top, slash, bottom = ratio.partition("/")
    if not slash or not bottom:
        raise UsageError(
            f"a ratio is written TOP/BOTTOM, for example SII/HALPHA6563; got {ratio!r}"
        )
    above, below = line_flux(fluxes, top), line_flux(fluxes, bottom)
    good = (above > 0) & (below > 0)
    with np.errstate(all="ignore"):
        return np.where(
            good, np.log10(np.where(good, above, 1.0) / np.where(good, below, 1.0)), np.nan
        )

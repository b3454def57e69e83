"""What the plots of a result show: which rows were measured, values, units, lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from nebulines.spectra import Flag

if TYPE_CHECKING:
    from nebulines.fitting.result import Result


DETECTION = 3.0
"""Signal to noise below which a flux or a ratio is greyed."""
NOT_MEASURED = Flag.NO_DATA | Flag.LOW_SNR | Flag.AT_BOUND | Flag.AMBIGUOUS_VELOCITY
"""Bits of spectra whose kinematics, fluxes and ratios are greyed."""


def measured(result: Result) -> np.ndarray:
    """(n,) bool: spectra in which a line is detected and the velocity is sure."""
    if "flags" not in result:
        return np.ones(len(result), bool)
    return (result["flags"].astype(int) & int(NOT_MEASURED)) == 0


def shown(result: Result, column: str) -> np.ndarray:
    """(n,) bool: where a column is worth a colour on a map.

    S/N, chi2 and flags always are; fluxes and ratios above `DETECTION` errors; a broadening
    where the line is resolved; a value that has no error is a limit (of a density) and is not.

    Example:
        >>> from nebulines.fitting.result import Result
        >>> columns = {"A_flux": np.array([9.0, 2.0]), "A_flux_err": np.ones(2)}
        >>> shown(Result(columns), "A_flux")
        array([ True, False])
    """
    if column in ("snr", "chi2", "flags") or column not in result:
        return np.ones(len(result), bool)
    keep = measured(result)
    if column == "broadening" and "flags" in result:
        keep &= (result["flags"].astype(int) & int(Flag.UNRESOLVED)) == 0
    if f"{column}_err" in result:
        keep &= np.isfinite(result[f"{column}_err"])
    if column.startswith("ratio_") or column.endswith("_flux"):
        with np.errstate(invalid="ignore"):
            keep &= result[column] > DETECTION * result[f"{column}_err"]
    return keep


def flux_unit(result: Result) -> str:
    """FITS unit string of the line fluxes."""
    from nebulines.fitting.column_names import describe

    return describe("HALPHA6563_flux", result.flux_unit)[0]


def rest_wavelengths(result: Result) -> dict[str, float]:
    """Rest wavelength in air [Angstrom] of each fitted line, from the result's metadata; lines
    it does not name are those of the catalogue."""
    known = {name: float(at) for name, at in json.loads(result.meta.get("LINES", "{}")).items()}
    if not known:
        from nebulines.lines import load_catalogue

        catalogue = load_catalogue()
        pairs = zip(catalogue.names, catalogue.wavelength_air, strict=True)
        known = {name: float(at) for name, at in pairs if name in result.lines}
    return known

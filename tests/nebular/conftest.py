"""A result of nebulae whose physics is known."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.fitting.result import Result
from nebulines.models import transmission
from nebulines.nebular.atoms import emissivity
from nebulines.nebular.extinction import vacuum_wavelength
from nebulines.nebular.recombination import case_b_ratio

EBV, DENSITY = 0.3, 200.0


def nebula_fluxes(n=6, ebv=EBV, density=DENSITY):
    """Fluxes (n,) of an H II region behind dust."""
    doublet = [float(emissivity("SII", (x,), 1e4, density)) for x in ("SII6716", "SII6731")]
    sulphur = np.array(doublet) / sum(doublet) * 28.0
    flux = {
        "OII3726": 75.0,
        "OII3729": 95.0,
        "HBETA4861": 100.0,
        "OIII5007": 110.0,
        "OI6300": 5.0,
        "HALPHA6563": 100.0 * float(case_b_ratio("HALPHA6563")),
        "NII6583": 70.0,
        "SII6716": sulphur[0],
        "SII6731": sulphur[1],
    }
    waves = np.array([vacuum_wavelength(name) for name in flux])
    left = dict(zip(flux, transmission(waves, ebv), strict=True))
    return {name: np.full(n, value * left[name]) for name, value in flux.items()}


def as_result(flux, relative=0.02, **more):
    columns = {"velocity": np.zeros(len(flux["HALPHA6563"]))}
    for name, values in flux.items():
        columns[f"{name}_flux"] = values
        columns[f"{name}_flux_err"] = np.full(len(values), relative * flux["HBETA4861"][0])
    columns["flags"] = np.zeros(len(columns["velocity"]), np.int32)
    return Result({**columns, **more.pop("columns", {})}, **more)


@pytest.fixture
def nebula():
    return as_result(nebula_fluxes())

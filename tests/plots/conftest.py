"""A small cube with a known velocity field, and the result that a perfect fit would give."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from astropy.wcs import WCS

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.result import Result
from nebulines.spectra import Cube, Flag, Spectra
from nebulines.spectral_axis import SpectralAxis

LINES = {
    "HBETA4861": (4861.33, 0.3),
    "OIII5007": (5006.84, 0.2),
    "NII6548": (6548.05, 0.36),
    "HALPHA6563": (6562.80, 1.0),
    "NII6583": (6583.45, 1.1),
    "SII6716": (6716.44, 0.5),
    "SII6731": (6730.82, 0.4),
}
REDSHIFT = 0.0881
NOISE = 5.0


@dataclass(frozen=True)
class FakeCube:
    """Data, result and noise-free model of the same spaxels."""

    cube: Cube
    result: Result
    model: np.ndarray


def sky_wcs() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [63.3, 10.4], [6, 5], [-0.2 / 3600, 0.2 / 3600]
    return wcs


def make_fake_cube(shape: tuple[int, int] = (10, 12), seed: int = 1) -> FakeCube:
    ny, nx = shape
    wavelength = np.arange(4750.0, 9350.0, 2.5)
    y, x = (a.ravel() for a in np.mgrid[:ny, :nx])
    flux = 2000.0 * np.exp(-0.5 * ((y - ny / 2) ** 2 + (x - nx / 2) ** 2) / (0.22 * nx) ** 2)
    velocity = -620.0 + 12.0 * (x - nx / 2)
    width = 2.5
    model = np.full((ny * nx, wavelength.size), 20.0)
    for rest, strength in LINES.values():
        at = rest * (1 + REDSHIFT) * (1 + velocity / SPEED_OF_LIGHT_KMS)
        profile = np.exp(-0.5 * ((wavelength - at[:, None]) / width) ** 2)
        model += (strength * flux / (width * np.sqrt(2 * np.pi)))[:, None] * profile
    data = model + np.random.default_rng(seed).normal(0, NOISE, model.shape)
    cube = _cube(data.reshape(ny, nx, -1), wavelength)
    return FakeCube(cube, _result(flux, velocity, shape), model)


def _cube(data: np.ndarray, wavelength: np.ndarray) -> Cube:
    axis = SpectralAxis(wavelength, "wavelength", "air")

    def read(block):
        part = data[block.y0 : block.y1, block.x0 : block.x1].reshape(-1, wavelength.size)
        return Spectra(
            part,
            axis,
            variance=np.full_like(part, NOISE**2),
            unit="10**-20 erg s-1 cm-2 Angstrom-1",
        )

    return Cube(data.shape, read, sky_wcs(), "10**-20 erg s-1 cm-2 Angstrom-1")


def _result(flux: np.ndarray, velocity: np.ndarray, shape: tuple[int, int]) -> Result:
    error = np.full(flux.size, 25.0)
    low = flux < 3 * error
    columns = {
        "velocity": np.where(low, np.nan, velocity),
        "velocity_err": np.full(flux.size, 4.0),
        "broadening": np.where(low, np.nan, 100.0),
        "broadening_err": np.full(flux.size, 6.0),
    }
    for name, (_, strength) in LINES.items():
        columns[f"{name}_flux"] = strength * flux
        columns[f"{name}_flux_err"] = error
    columns |= {
        "ratio_NII6583_HALPHA6563": np.where(low, np.nan, 1.1),
        "ratio_NII6583_HALPHA6563_err": 1.5 * error / flux,
        "chi2": np.ones(flux.size),
        "snr": flux / error,
        "flags": np.where(low, int(Flag.LOW_SNR), 0).astype(np.int32),
    }
    meta = {
        "OBJECT": "A test",
        "INSTRUME": "MUSE",
        "REDSHIFT": REDSHIFT,
        "VELCONV": "optical",
        "LINES": json.dumps({name: rest for name, (rest, _) in LINES.items()}),
    }
    unit = "10**-20 erg s-1 cm-2 Angstrom-1"
    return Result(columns, unit, meta, shape=shape, wcs=sky_wcs())


@pytest.fixture(scope="session")
def fake() -> FakeCube:
    return make_fake_cube()

"""Small populations and cubes to make pages of, and a browser to open them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from benchmarks import browser as chromium
from nebulines.explorer.compact import compact
from nebulines.explorer.galaxies import Column, Plane, Population
from nebulines.explorer.population_page import write_population
from nebulines.explorer.rest_frame import GRID
from nebulines.fitting.result import Result

N = 300
NY, NX, CHANNELS = 6, 5, 400
UNIT = "10**(-20)*erg/s/cm**2/Angstrom"
WAVELENGTH = 6500.0 + 0.5 * np.arange(CHANNELS)


def make_population(n: int = N) -> Population:
    """Power laws with widths that grow towards the blue; galaxy 7 has no widths."""
    rng = np.random.default_rng(2)
    slope = rng.uniform(-1.0, 1.0, n)
    flux = (GRID / 5000.0) ** slope[:, None] * np.linspace(1.0, 3.0, n)[:, None]
    predicted = np.exp(2.0 - 1.5 * slope)[:, None] * np.linspace(0.2, 1.0, 10)
    observed = predicted + rng.normal(0.0, 1.0, predicted.shape)
    observed[7] = np.nan
    return Population(
        compact(GRID, [flux], 4),
        np.zeros((n, 11)),
        {
            "observed": observed,
            "predicted": predicted,
            "noisy": predicted + rng.normal(size=observed.shape),
        },
        [Plane("a plane", ("p", "q"), np.stack([slope, rng.normal(size=n)], axis=1))],
        [
            Column("colour", "overall colour", slope, "dex"),
            Column("kind", "class", (slope > 0).astype(int), names=("blue", "red")),
        ],
        broadening_kms=np.full(n, 150.0),
        unit="erg s-1 cm-2 Angstrom-1",
        title="Galaxies </script> & more",
        about={"source": "made <here>"},
    )


@pytest.fixture(scope="session")
def population() -> Population:
    return make_population()


@pytest.fixture(scope="session")
def population_html(population, tmp_path_factory) -> Path:
    return write_population(population, tmp_path_factory.mktemp("pages") / "population.html")


def write_cube_files(folder: Path) -> Path:
    """``gas_MAPS.fits`` with ``gas_MODEL.fits`` and ``cube.fits`` beside it; spaxel 0 is empty."""
    n = NY * NX
    velocity = np.linspace(-100.0, 100.0, n)
    flux = np.linspace(5.0, 50.0, n)
    at = 6562.80 * (1.0 + velocity / 299792.458)
    model = 10.0 + flux[:, None] * np.exp(-0.5 * ((WAVELENGTH - at[:, None]) / 1.5) ** 2)
    data = model + np.random.default_rng(1).normal(0.0, 1.0, model.shape)
    data[0] = np.nan
    columns = {
        "HALPHA6563_flux": flux * 3.76,
        "HALPHA6563_flux_err": np.full(n, 2.0),
        "velocity": velocity,
        "velocity_err": np.full(n, 3.0),
        "broadening": np.full(n, 40.0),
        "broadening_err": np.full(n, 4.0),
        "snr": flux,
        "flags": np.where(np.arange(n) == 0, 1, 0),
    }
    for column in list(columns):
        if column != "flags":
            columns[column] = columns[column].astype(float)
            columns[column][0] = np.nan
    meta = {
        "OBJECT": "mock", "INPUT": "cube.fits", "REDSHIFT": 0.0, "VELCONV": "optical",
        "LINES": '{"HALPHA6563": 6562.8}', "AIRORVAC": "air", "FLUXUNIT": UNIT,
    }  # fmt: skip
    unit = UNIT
    result = Result(columns, unit, meta, (NY, NX))
    for name, values in (("cube", data), ("gas_MODEL", model)):
        write_cube(folder / f"{name}.fits", values, unit)
    return result.write_maps(folder / "gas_MAPS.fits")


def write_cube(path: Path, values: np.ndarray, unit: str) -> None:
    """Spectra (n, channel) as a cube with a linear axis in air."""
    content = values.reshape(NY, NX, -1).transpose(2, 0, 1).astype(np.float32)
    flux = fits.ImageHDU(content, name="FLUX")
    error = fits.ImageHDU(np.ones_like(content), name="ERR")
    for hdu in (flux, error):
        hdu.header.update(
            CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CTYPE3="AWAV", CUNIT1="deg", CUNIT2="deg",
            CUNIT3="Angstrom", CRVAL1=150.0, CRVAL2=2.0, CRVAL3=WAVELENGTH[0], CRPIX1=1.0,
            CRPIX2=1.0, CRPIX3=1.0, CDELT1=-5.6e-5, CDELT2=5.6e-5, CDELT3=0.5, BUNIT=unit,
        )  # fmt: skip
    fits.HDUList([fits.PrimaryHDU(), flux, error]).writeto(path)


@pytest.fixture(scope="session")
def maps_file(tmp_path_factory) -> Path:
    return write_cube_files(tmp_path_factory.mktemp("cube"))


@pytest.fixture(scope="session")
def driver():
    """Chromium, or a skip."""
    if what := chromium.missing():
        pytest.skip(f"{what} is not installed: pages are not opened")
    with chromium.browser() as opened:
        yield opened

"""A small cube on disk-like readers, and an engine that answers at once."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from astropy.wcs import WCS

from nebulines.cubes import engine
from nebulines.spectra import Cube, Flag, Spectra
from nebulines.spectra.cube import Block
from nebulines.spectral_axis import SpectralAxis

NY, NX, CHANNELS = 7, 5, 12
UNIT = "10**(-20)*erg/s/cm**2/Angstrom"


class FakeBlock(NamedTuple):
    columns: dict
    model: np.ndarray
    notes: dict


class FakeEngine:
    """Answers with the first channel as velocity, so that every value tells where it is from."""

    def __init__(self):
        self.calls = 0
        self.fail_at: int | None = None
        self.failure: BaseException = RuntimeError("the engine broke")

    def resolve(self, data, config):
        names = config.lines or ("HALPHA6563", "NII6583")
        redshift = 0.01 if config.redshift == "auto" else config.redshift
        return replace(config, lines=tuple(names), redshift=redshift)

    def fit_block(self, spectra: Spectra, config, *, with_model: bool = True) -> FakeBlock:
        self.calls += 1
        if self.calls == self.fail_at:
            raise self.failure
        first = np.asarray(spectra.flux[:, 0], float)
        lost = ~np.isfinite(first)
        columns = {"velocity": first, "velocity_err": first / 10, "broadening": 2 * first}
        columns["broadening_err"] = first / 20
        for name in config.lines:
            columns |= {f"{name}_flux": first, f"{name}_flux_err": first / 5}
            columns |= {f"{name}_flux_limit": first, f"{name}_amplitude": first}
        columns["ratio_NII6583_HALPHA6563"] = np.where(lost, np.nan, 1.0)
        columns["ratio_NII6583_HALPHA6563_err"] = np.where(lost, np.nan, 0.1)
        columns |= {"continuum": first, "chi2": np.where(lost, np.nan, 1.0)}
        columns = {name: values.astype(np.float32) for name, values in columns.items()}
        columns["n_components"] = np.where(lost, 0, 1).astype(np.int32)
        columns["flags"] = np.where(lost, int(Flag.NO_DATA), 0).astype(np.int32)
        model = np.asarray(spectra.flux, np.float32) + 0.5
        return FakeBlock(columns, model, {"NOISE": "file", "METHOD": "fit"})


@pytest.fixture
def fake(monkeypatch) -> FakeEngine:
    one = FakeEngine()
    monkeypatch.setattr(
        engine, "load", lambda method="fit": engine.Engine(one.resolve, one.fit_block)
    )
    return one


def celestial() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [63.355, 10.465]
    wcs.wcs.crpix = [2.5, 3.5]
    wcs.wcs.cdelt = [-5.5e-5, 5.5e-5]
    wcs.wcs.cunit = ["deg", "deg"]
    return wcs


def cube_of(data: np.ndarray, axis: SpectralAxis, *, variance=None, **attributes) -> Cube:
    """A cube over arrays (ny, nx, channel)."""
    ny, nx, channels = data.shape

    def read(block: Block) -> Spectra:
        def cut(a):
            return None if a is None else a[block.y0 : block.y1, block.x0 : block.x1]

        own = axis
        if axis.scale is not None:
            own = replace(axis, scale=cut(axis.scale.reshape(ny, nx)).ravel())
        noise = cut(variance)
        noise = None if noise is None else noise.reshape(-1, channels)
        return Spectra(cut(data).reshape(-1, channels), own, noise, unit=UNIT)

    return Cube((ny, nx, channels), read, unit=UNIT, **attributes)


@pytest.fixture
def axis() -> SpectralAxis:
    return SpectralAxis(6500.0 + 1.25 * np.arange(CHANNELS), "wavelength", "air")


@pytest.fixture
def numbers() -> np.ndarray:
    """(ny, nx, channel): spaxel (y, x) holds 100 y + x + 1 in every channel."""
    y, x = np.mgrid[:NY, :NX]
    return np.repeat((100.0 * y + x + 1)[:, :, None], CHANNELS, axis=2)


@pytest.fixture
def make_cube():
    return cube_of


@pytest.fixture
def cube(numbers, axis, tmp_path) -> Cube:
    source = tmp_path / "input.fits"
    source.write_bytes(numbers.tobytes())
    return cube_of(
        numbers,
        axis,
        variance=np.full_like(numbers, 4.0),
        wcs=celestial(),
        meta={"source": str(source), "OBJECT": "test", "SPECSYS": "BARYCENT"},
    )

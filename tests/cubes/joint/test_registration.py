"""Cubes of one field on one grid: the WCS decides, variances follow, wrong pairs are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from nebulines.cubes.joint.registration import register
from nebulines.errors import UsageError
from nebulines.spectra import Cube, Spectra
from nebulines.spectral_axis import SpectralAxis

AXIS = SpectralAxis(6500.0 + np.arange(6.0), "wavelength", "air")


def sky(*, shift=(0.0, 0.0), pixel=1.0, shape=(9, 8)) -> WCS:
    """Tangent plane with spaxels of ``pixel`` arcsec, moved by (y, x) arcsec."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 2.0]
    wcs.wcs.cdelt = [-pixel / 3600.0, pixel / 3600.0]
    middle_y, middle_x = 0.5 * (shape[0] - 1), 0.5 * (shape[1] - 1)
    wcs.wcs.crpix = [middle_x + 1 - shift[1] / pixel, middle_y + 1 - shift[0] / pixel]
    return wcs


def cube_of(image: np.ndarray, wcs: WCS | None, unit: str = "erg/(s cm2 Angstrom)") -> Cube:
    """A cube whose spectra are flat at the value of an image."""

    def read(block):
        part = image[block.y0 : block.y1, block.x0 : block.x1].reshape(-1, 1)
        flux = np.repeat(part, AXIS.n_channels, axis=1)
        return Spectra(flux, AXIS, np.full(flux.shape, 4.0), unit=unit)

    return Cube((*image.shape, AXIS.n_channels), read, wcs, unit)


def ramp(shape=(9, 8)):
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    return 100.0 + 3.0 * x + 7.0 * y


def test_grids_that_agree_are_left_alone():
    first, second = cube_of(ramp(), sky()), cube_of(ramp(), sky(shift=(0.02, 0.0)))
    assert register([first, second])[1] is second
    bare = [replace(first, wcs=None), replace(second, wcs=None)]
    assert register(bare)[1] is bare[1]


def test_a_moved_field_is_interpolated_with_its_variance():
    first, second = cube_of(ramp(), sky()), cube_of(ramp(), sky(shift=(1.0, 0.5)))
    moved = register([first, second])[1]
    assert moved.shape == first.shape
    spectra = moved[:, :]
    flux = spectra.flux[:, 0].reshape(9, 8)
    mask = np.asarray(spectra.mask).all(axis=1).reshape(9, 8)
    # the second grid starts one row and half a column later on the sky, east to the left
    inside = np.zeros((9, 8), bool)
    inside[1:, 1:-1] = True
    sample = flux[2:8, 2:6]
    step_y, step_x = np.diff(sample, axis=0), np.diff(sample, axis=1)
    np.testing.assert_allclose(step_y, 7.0, atol=0.05)
    np.testing.assert_allclose(step_x, 3.0, atol=0.05)
    assert mask.any()
    assert not mask[2:8, 2:6].any()
    variance = spectra.variance.reshape(9, 8, -1)[4, 4]
    np.testing.assert_allclose(variance, 2.0, atol=0.1)  # two spaxels of weight a half
    block = next(iter(moved.blocks(16)))
    again = moved.read_block(block)
    np.testing.assert_allclose(again.flux[:, 0], flux.ravel()[: block.size])


def test_flux_per_spaxel_follows_the_area_of_a_spaxel():
    first = cube_of(np.ones((9, 8)), sky(pixel=2.0))
    fine = cube_of(np.ones((18, 16)), sky(pixel=1.0, shape=(18, 16)))
    seen = register([first, fine])[1][4, 4]
    np.testing.assert_allclose(seen.flux, 4.0, rtol=1e-3)
    surface = cube_of(np.ones((18, 16)), fine.wcs, "erg/(s cm2 Angstrom arcsec2)")
    np.testing.assert_allclose(register([first, surface])[1][4, 4].flux, 1.0, rtol=1e-6)


def test_fields_that_do_not_belong_together_are_refused():
    first = cube_of(ramp(), sky())
    with pytest.raises(UsageError, match="do not overlap"):
        register([first, cube_of(ramp(), sky(shift=(500.0, 0.0)))])
    with pytest.raises(UsageError, match=r"\(9, 8\) and \(5, 8\) spaxels"):
        register([replace(first, wcs=None), cube_of(ramp((5, 8)), None)])
    with pytest.raises(UsageError, match="no celestial WCS in both"):
        register([first, cube_of(ramp((5, 8)), None)])

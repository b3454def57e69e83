"""Masks and ds9 regions."""

from __future__ import annotations

import builtins
import importlib.util

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from nebulines.cubes.selection import spaxels_to_use
from nebulines.errors import InputError, UsageError

needs_regions = pytest.mark.skipif(
    importlib.util.find_spec("regions") is None, reason="the package regions is not installed"
)


def test_a_fits_mask_leaves_spaxels_out(tmp_path):
    mask = np.zeros((3, 4), np.int16)
    mask[1, 2] = 5
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(mask)]).writeto(tmp_path / "mask.fits")
    use = spaxels_to_use((3, 4), mask=tmp_path / "mask.fits")
    assert np.array_equal(use, mask == 0)


def test_nan_in_a_mask_is_not_zero():
    assert spaxels_to_use((1, 2), mask=np.array([[0.0, np.nan]])).tolist() == [[True, False]]


def test_nothing_given_is_nothing_left_out():
    assert spaxels_to_use((3, 4)) is None


@pytest.mark.parametrize("content", [b"", b"not a FITS file"])
def test_a_mask_that_is_no_image(tmp_path, content):
    (tmp_path / "mask.fits").write_bytes(content)
    with pytest.raises(InputError, match=r"mask\.fits"):
        spaxels_to_use((3, 4), mask=tmp_path / "mask.fits")


def test_a_region_without_the_package_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "regions":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'nebulines\[astro\]'"):
        spaxels_to_use((3, 4), region=tmp_path / "a.reg")


@needs_regions
@pytest.mark.parametrize(
    ("shape", "inside"),
    [
        ("circle(4,3,1.2)", 5),
        ("ellipse(4,3,2.2,1.2,0)", 11),
        ("box(4,3,3,3,0)", 9),
        ("polygon(2.5,1.5,5.5,1.5,5.5,4.5,2.5,4.5)", 9),
    ],
)
def test_regions_in_image_coordinates(tmp_path, shape, inside):
    (tmp_path / "a.reg").write_text(f"# Region file format: DS9\nimage\n{shape}\n")
    use = spaxels_to_use((6, 8), region=tmp_path / "a.reg")
    assert use.sum() == inside
    assert use[2, 3]  # ds9 counts from 1


@needs_regions
def test_a_region_beside_the_cube_leaves_nothing_and_an_exclusion_all_else(tmp_path):
    (tmp_path / "a.reg").write_text("image\ncircle(400,300,1.2)\n")
    assert not spaxels_to_use((6, 8), region=tmp_path / "a.reg").any()
    (tmp_path / "b.reg").write_text("image\n-circle(4,3,1.2)\n")
    assert spaxels_to_use((6, 8), region=tmp_path / "b.reg").sum() == 48 - 5


@needs_regions
def test_regions_on_the_sky_and_their_exclusion(tmp_path):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [50.0, 10.0], [4, 3], [-1 / 3600, 1 / 3600]
    (tmp_path / "a.reg").write_text('fk5\ncircle(50.0,10.0,1.2")\n-circle(50.0,10.0,0.4")\n')
    use = spaxels_to_use((6, 8), region=tmp_path / "a.reg", wcs=wcs)
    assert use.sum() == 4
    assert not use[2, 3]
    with pytest.raises(UsageError, match="no celestial WCS"):
        spaxels_to_use((6, 8), region=tmp_path / "a.reg")

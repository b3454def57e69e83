"""What the ERR of a SCI/ERR/MASK file holds."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from nebulines.io import read


def write(path, errors, flux_scale):
    rng = np.random.default_rng(1)
    flux = rng.normal(size=(60, 3, 3)) * flux_scale
    header = fits.Header({"CTYPE3": "AWAV", "CRVAL3": 6500.0, "CDELT3": 1.0, "CRPIX3": 1.0})
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(flux.astype("f4"), header, name="SCI")]
    hdus.append(fits.ImageHDU(np.full(flux.shape, errors), name="ERR"))
    fits.HDUList(hdus).writeto(path)
    return read(path)


@pytest.mark.parametrize(
    ("flux_scale", "errors", "variance", "word"),
    [
        (1e-17, 1e-17, 1e-34, "error"),
        (1e-17, 1e-34, 1e-34, "variance"),
        (1e-17, 5e-19, 2.5e-37, "error"),  # too small by 20, but no variance
        (2.0, 4.0, 16.0, "error"),  # may be either: the name decides
        (1e4, 1e8, 1e8, "variance"),
        (1e-17, 1.0, 1.0, "error"),  # neither fits
    ],
)
def test_err_is_a_variance_where_only_that_agrees_with_the_flux(
    tmp_path, flux_scale, errors, variance, word
):
    cube = write(tmp_path / "cube.fits", errors, flux_scale)
    assert cube.meta["noise"].startswith(word)
    np.testing.assert_allclose(cube[1, 1].variance, variance, rtol=1e-6)

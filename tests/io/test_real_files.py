"""Real files open, say what they are, and have their lines where they belong."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
import pytest

from nebulines.errors import InputError
from nebulines.io import describe, read
from nebulines.spectra import Cube, Spectra
from nebulines.spectral_axis import air_to_vacuum

DATA = Path(__file__).parents[3] / "shared" / "data"
HALPHA_AIR = 6562.80


def shared(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"reference data {name} are not on this machine")
    return path


def from_mpdaf(name: str) -> Path:
    try:
        found = [file for file in files("mpdaf") or [] if str(file).endswith(name)]
    except PackageNotFoundError:
        found = []
    if not found:
        pytest.skip("mpdaf is not installed")
    return Path(str(found[0].locate()))


def brightest(spectra: Spectra, low: float, high: float) -> float:
    """Wavelength of the brightest channel between two wavelengths, over all spectra."""
    wavelength = spectra.axis.wavelength()
    inside = (wavelength > low) & (wavelength < high)
    flux = np.asarray(spectra.flux, float).copy()
    if spectra.mask is not None:
        flux[spectra.mask] = np.nan
    total = np.nansum(flux, axis=0)
    return float(wavelength[inside][np.argmax(total[inside])])


def line_excess(spectra: Spectra, centre: float, width: float = 6.0) -> float:
    """Mean flux within ``width`` [Angstrom] of a line over that of 15 - 40 Angstrom beside it."""
    distance = np.abs(spectra.axis.wavelength() - centre)
    usable = np.ones(distance.size, bool) if spectra.mask is None else ~spectra.mask[0]
    flux = spectra.flux[0]
    beside = (distance > 15) & (distance < 40) & usable
    return float(np.mean(flux[(distance < width) & usable]) / np.mean(flux[beside]))


def test_muse_cube_of_abell_478():
    path = from_mpdaf("sdetect/minicube.fits")
    cube = read(path)
    assert isinstance(cube, Cube)
    assert cube.shape == (40, 40, 3681)
    assert cube.instrument == "muse"
    assert cube.wcs is not None
    spectra = cube[14:24, 20:30]
    assert spectra.axis.medium == "air"
    # z = 0.0881, the gas within 1000 km/s of it: Ha, or the nearly as bright [NII] 6583 beside it
    found = brightest(spectra, 7100.0, 7200.0)
    assert min(abs(found / line / 1.0881 - 1) for line in (HALPHA_AIR, 6583.45)) < 1000 / 299792.0
    text = "\n".join(describe(path))
    for words in ("MUSE cube (DATA/STAT/DQ)", "air", "variance (STAT)", "Abell 478"):
        assert words in text


def test_muse_cut_without_quality():
    path = from_mpdaf("sdetect/subcub_mosaic.fits")
    cube = read(path)
    assert cube.shape == (30, 30, 500)
    assert cube.unit == "10**-20 erg Angstrom-1 s-1 cm-2"
    assert np.all(cube[:2, :2].variance > 0)


def test_gmos_cube_of_ngc_3081():
    cube = read(shared("ifu/ngc3081_cube.fits"))
    assert cube.shape == (8, 6, 1800)
    spectra = cube[:, :]
    assert spectra.axis.wavelength_range() == pytest.approx((5627.89, 6848.14), abs=0.01)
    found = brightest(spectra, 6500.0, 6700.0)  # z = 0.0080 (Ha or [NII] 6583)
    assert min(abs(found / line / 1.0080 - 1) for line in (HALPHA_AIR, 6583.45)) < 300 / 299792.0
    assert np.all(spectra.variance[np.isfinite(spectra.variance)] >= 0)


def test_sdss_spectra():
    path = shared("spectra/sdss/SDSS_GALAXY_10.fits")
    spectra = read(path)
    assert spectra.flux.shape == (10, 4076)
    assert spectra.instrument == "sdss"
    assert spectra.axis.medium == "vacuum"
    assert spectra.axis.wavelength_range() == pytest.approx((3600.0, 9200.0), abs=2.0)
    assert np.all(spectra.redshift > 0.5)


@pytest.mark.parametrize("name", ["4-80613-thru20210324", "special-dark-27247"])
def test_desi_coadds(name):
    spectra = read(shared(f"spectra/desi/coadd-{name}.fits"))
    assert spectra.flux.shape == (1, 7781)
    assert spectra.axis.medium == "vacuum"
    assert spectra.meta["redshift_source"] == f"redrock-{name}.fits"
    fwhm = spectra.line_spread.fwhm_angstrom(np.array([3800.0, 9500.0]))[0]
    # R of about 2000 in the blue to 5500 in the red (Abareshi et al. 2022, AJ 164, 207)
    assert 1800 < 3800.0 / fwhm[0] < 3200
    assert 4500 < 9500.0 / fwhm[1] < 6500


def test_desi_lines_lie_at_the_redshift_of_redrock():
    spectra = read(shared("spectra/desi/coadd-4-80613-thru20210324.fits"))
    for line in (5006.84, HALPHA_AIR):
        expected = float(air_to_vacuum(line)) * (1 + spectra.redshift[0])
        assert brightest(spectra, expected - 60, expected + 60) == pytest.approx(expected, abs=0.8)


def test_desi_stack():
    spectra = read(shared("spectra/desi/stack-LRG.fits"))
    assert spectra.axis.medium == "vacuum"
    assert spectra.redshift.tolist() == [0.0]


def test_a_redshift_table_is_no_spectrum():
    with pytest.raises(InputError, match="REDSHIFTS"):
        read(shared("spectra/desi/redrock-4-80613-thru20210324.fits"))


@pytest.mark.parametrize(
    ("name", "n"), [("MaNGA_test_spectra", 8), ("MaNGA_multicomp_test_spectra", 3)]
)
def test_manga_spectra(name, n):
    spectra = read(shared(f"spectra/manga/{name}.fits.gz"))
    assert spectra.flux.shape == (n, 4563)
    assert (spectra.instrument, spectra.axis.medium) == ("manga", "vacuum")
    fwhm = spectra.line_spread.fwhm_angstrom(np.array([6600.0]))
    assert np.all((6600.0 / fwhm > 1500) & (6600.0 / fwhm < 2600))


def test_manga_halpha_lies_at_the_file_redshift():
    spectra = read(shared("spectra/manga/MaNGA_multicomp_test_spectra.fits.gz"))
    for i in range(len(spectra)):
        expected = float(air_to_vacuum(HALPHA_AIR)) * (1 + spectra.redshift[i])
        assert line_excess(spectra[i], expected) > 1.1


def test_atlas_spectra_all_open():
    folder = shared("spectra/atlas/calzetti")
    paths = sorted(folder.glob("*.fits"))
    assert len(paths) > 90
    for path in paths:
        spectra = read(path)
        assert len(spectra) == 1
        low, high = spectra.axis.wavelength_range()
        assert 900 < low < 2000
        assert 7000 < high < 11000


def test_atlas_halpha_of_a_seyfert():
    spectra = read(shared("spectra/atlas/calzetti/ngc3081.fits"))
    assert line_excess(spectra, 5006.84 * 1.0080, 8.0) > 2.0

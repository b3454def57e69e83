"""Real spectra and cubes: redshifts that are known are found, and fits make sense."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
import pytest

import nebulines as nl
from nebulines.errors import UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.redshift import find_redshift
from nebulines.fitting.sample import brightest_spaxels
from nebulines.io import read
from nebulines.lines import load_catalogue
from nebulines.spectra import Cube, Flag

DATA = Path(__file__).parents[3] / "shared" / "data"
DEFAULT = load_catalogue().defaults()
C_KMS = 299792.458


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


def offset_kms(found: float, known: float) -> float:
    return abs((1 + found) / (1 + known) - 1) * C_KMS


def redshift_of(data) -> float:
    spectra = brightest_spaxels(data) if isinstance(data, Cube) else data
    return find_redshift(spectra, DEFAULT, FitConfig())[0]


def test_redshift_of_abell_478():
    """The core's gas, between the catalogue's 0.0881 and -1000 km/s of it."""
    cube = read(from_mpdaf("sdetect/minicube.fits"))
    assert offset_kms(redshift_of(cube), 0.0858) < 150


def test_redshift_of_ngc_3081():
    """z = 0.00798 (NED), from a cube without a known line spread."""
    assert offset_kms(redshift_of(read(shared("ifu/ngc3081_cube.fits"))), 0.00798) < 150


def test_redshift_of_a_desi_coadd_is_that_of_redrock():
    spectra = read(shared("spectra/desi/coadd-4-80613-thru20210324.fits"))
    assert offset_kms(redshift_of(spectra), spectra.redshift[0]) < 50


def test_redshifts_of_manga_spectra_with_gas():
    spectra = read(shared("spectra/manga/MaNGA_multicomp_test_spectra.fits.gz"))
    for row in range(3):
        assert offset_kms(redshift_of(spectra[row]), spectra.redshift[row]) < 200
    spectra = read(shared("spectra/manga/MaNGA_test_spectra.fits.gz"))
    for row in (2, 3):
        assert offset_kms(redshift_of(spectra[row]), spectra.redshift[row]) < 200
    for row in (0, 1, 5, 7):  # early types without lines
        with pytest.raises(UsageError, match="no comb of lines"):
            redshift_of(spectra[row])


def test_redshifts_of_sdss_spectra_are_found_or_refused():
    """Faint galaxies with z > 0.7, of which two show more than [O II]."""
    spectra = read(shared("spectra/sdss/SDSS_GALAXY_10.fits"))
    found = 0
    for row in range(len(spectra)):
        try:
            redshift = redshift_of(spectra[row])
        except UsageError:
            continue
        found += 1
        assert offset_kms(redshift, spectra.redshift[row]) < 300
    assert found >= 1


# heliocentric redshifts of NED; spectra of 8 - 10 Angstrom resolution
ATLAS = {
    "haro15": 0.0214,
    "ic1586": 0.0194,
    "ic3639": 0.0109,
    "mrk309": 0.0422,
    "mrk357": 0.0529,
    "mrk477": 0.0377,
    "mrk499": 0.0260,
    "mrk542": 0.0245,
    "ngc1068": 0.0038,
    "ngc1275": 0.0176,
    "ngc1614": 0.0159,
    "ngc262": 0.0150,
    "ngc3256": 0.0094,
    "ngc3393": 0.0125,
    "ngc4385": 0.0071,
    "ngc5253": 0.0014,
    "ngc5506": 0.0062,
    "ngc5860": 0.0180,
    "ngc6052": 0.0158,
    "ngc7130": 0.0162,
    "ngc7582": 0.0053,
    "ngc7714": 0.0093,
    "tol1924_416": 0.0098,
}


def test_redshifts_of_the_atlas_where_lines_are_strong():
    folder = shared("spectra/atlas/calzetti")
    missed = {
        name: offset
        for name, known in ATLAS.items()
        if (offset := offset_kms(redshift_of(read(folder / f"{name}.fits")), known)) > 350
    }
    assert not missed


def test_hardly_any_atlas_spectrum_gets_a_redshift_that_cannot_be():
    """All lie below 0.06; ellipticals of no lines must not become distant galaxies."""
    distant = 0
    for path in sorted(shared("spectra/atlas/calzetti").glob("*.fits")):
        try:
            distant += redshift_of(read(path)) > 0.06
        except UsageError:
            continue
    assert distant <= 6


def check_flags(result):
    for name in result:
        if result[name].dtype.kind == "f" and name != "redshift":
            assert np.all(result["flags"][np.isnan(result[name])] != 0), name


def test_fit_of_ngc_3081():
    """A rotating disc around an active nucleus; ERR holds variances, which are too large."""
    cube = read(shared("ifu/ngc3081_cube.fits"))
    result = nl.fit(cube, redshift=0.00798, lines=("NII6548", "HALPHA6563", "NII6583"))
    check_flags(result)
    velocity, flags = result.image("velocity"), result.image("flags")
    assert np.mean(flags & Flag.NOT_CONVERGED != 0) < 0.1
    assert np.mean(flags & Flag.POOR_FIT != 0) < 0.2
    good = result.image("snr") > 8
    assert good.sum() > 20
    assert np.all(np.abs(velocity[good]) < 250)
    assert np.all(
        (result.image("broadening")[good] > 30) & (result.image("broadening")[good] < 250)
    )
    # one side recedes
    assert np.nanmedian(velocity[5:]) - np.nanmedian(velocity[:3]) > 60
    ratio = result.image("ratio_NII6583_HALPHA6563")[good]
    assert 0.6 < np.median(ratio) < 2.0


def test_fit_of_manga_spectra():
    spectra = read(shared("spectra/manga/MaNGA_multicomp_test_spectra.fits.gz"))
    result = nl.fit(spectra, lines=("NII6548", "HALPHA6563", "NII6583"))
    check_flags(result)
    assert np.all(np.abs(result["velocity"]) < 150)
    assert np.all(result["snr"] > 30)
    assert np.all((result["broadening"] > 60) & (result["broadening"] < 500))
    # starlight is no straight line: its residuals are flagged
    assert np.all(result["flags"] & (Flag.POOR_FIT | Flag.SECOND_COMPONENT | Flag.OUTLIER_CHANNEL))


def test_fit_of_a_desi_coadd():
    spectra = read(shared("spectra/desi/coadd-4-80613-thru20210324.fits"))
    result = nl.fit(spectra, lines=("OIII4959", "OIII5007"))
    check_flags(result)
    assert abs(result["velocity"][0]) < 20
    assert result["snr"][0] > 50
    ratio = result["OIII5007_flux"][0] / result["OIII4959_flux"][0]
    assert ratio == pytest.approx(2.98, rel=0.05)  # Storey & Zeippen 2000


def test_fit_of_sdss_spectra():
    spectra = read(shared("spectra/sdss/SDSS_GALAXY_10.fits"))
    result = nl.fit(spectra, lines=("OII3726", "OII3729"))
    check_flags(result)
    low, high = spectra.axis.wavelength_range()
    observed = 3727.0 * (1 + spectra.redshift)
    outside = (observed < low) | (observed > high)
    assert np.all(result["flags"][outside] & Flag.NO_DATA)
    sure = result["flags"] == 0
    assert np.all(np.abs(result["velocity"][sure]) < 300)

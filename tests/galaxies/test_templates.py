"""Stellar templates of every source are read alike; what cannot be read is refused."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from astropy.io import fits

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.starlight.indices import lick_index
from nebulines.galaxies.starlight.template_files import find_templates
from nebulines.galaxies.starlight.template_sources import load_templates, thinned
from nebulines.galaxies.starlight.templates import Templates
from nebulines.spectral_axis import air_to_vacuum

WAVE = np.linspace(3500.0, 7500.0, 4001)
AGES, METALS = np.array([0.1, 1.0, 10.0]), np.array([-0.3, 0.0])


def dip(wave, at=5000.0):
    return 1.0 - 0.5 * np.exp(-0.5 * ((wave - at) / 5.0) ** 2)


def mastar_folder(folder):
    log10 = 3.55 + 1e-4 * np.arange(3000)
    for age in AGES:
        for metal in METALS:
            vacuum = 10.0**log10
            flux = age * dip(vacuum, air_to_vacuum(5000.0))
            hdu = fits.PrimaryHDU(flux)
            hdu.header.update({"CRVAL1": 3.55, "CDELT1": 1e-4, "CRPIX1": 1, "CTYPE1": "WAVE-LOG"})
            sres = fits.ImageHDU(np.full(3000, 1800.0), name="SRES")
            name = folder / f"SSP-A{age:06.3f}-Z{metal:+.2f}.fits.gz"
            fits.HDUList([hdu, sres]).writeto(name)
    return folder


def miles_folder(folder):
    for i in range(3):
        hdu = fits.PrimaryHDU((i + 1.0) * dip(WAVE))
        hdu.header.update({"CRVAL1": WAVE[0], "CDELT1": 1.0, "CRPIX1": 1})
        hdu.writeto(folder / f"m{i}.fits")
    return folder


def bagpipes_file(folder):
    hdus = [fits.PrimaryHDU()]
    for metal in (0.2, 1.0):
        data = np.array([age * dip(WAVE) for age in AGES])
        hdus.append(fits.ImageHDU(data, name=f"ZMET_{metal:.3f}ZSOL"))
    hdus.append(fits.ImageHDU(AGES * 1e9, name="STELLAR_AGE_YR"))
    hdus.append(fits.ImageHDU(WAVE, name="WAVELENGTHS_AA"))
    fits.HDUList(hdus).writeto(folder / "grid.fits")
    return folder / "grid.fits"


def ppxf_file(folder):
    flux = dip(WAVE)[:, None, None] * AGES[None, :, None] * np.ones(2)
    path = folder / "spectra.npz"
    np.savez(path, templates=flux, lam=WAVE, ages=AGES, metals=METALS, fwhm=2.5)
    return path


def ppxf_file_in_vacuum(folder):
    path = folder / "spectra_fsps_9.0.npz"
    flux = dip(WAVE)[:, None, None] * AGES[None, :, None] * np.ones(2)
    np.savez(path, templates=flux, lam=air_to_vacuum(WAVE), ages=AGES, metals=METALS, fwhm=2.5)
    return path


def dsps_file(folder):
    path = folder / "ssp.h5"
    with h5py.File(path, "w") as file:
        file["ssp_wave"] = air_to_vacuum(WAVE)
        file["ssp_flux"] = np.ones((2, 3, 1)) * dip(WAVE) * WAVE**2
        file["ssp_lgmet"], file["ssp_lg_age_gyr"] = METALS - 1.85, np.log10(AGES)
    return path


@pytest.mark.parametrize(
    ("make", "k"),
    [
        (mastar_folder, 6),
        (miles_folder, 3),
        (bagpipes_file, 6),
        (ppxf_file, 6),
        (ppxf_file_in_vacuum, 6),
        (dsps_file, 6),
    ],
)
def test_every_source_gives_air_wavelengths(make, k, tmp_path):
    templates = load_templates(make(tmp_path))
    assert templates.n_templates == k
    assert np.all((templates.fwhm > 1.0) & (templates.fwhm < 5.0))
    near = (templates.wavelength > 4980) & (templates.wavelength < 5020)
    lowest = templates.wavelength[near][np.argmin(templates.flux[0, near])]
    assert abs(lowest - 5000.0) < 0.8  # 1.4 A if air and vacuum were confused
    if templates.log_age is not None:
        assert set(templates.log_age.round(2)) == {8.0, 9.0, 10.0}


def test_a_folder_states_its_resolution(tmp_path):
    folder = miles_folder(tmp_path)
    assert np.all(load_templates(folder).fwhm == 2.51)
    fits.setval(folder / "m0.fits", "FWHM", value=3.4)
    assert np.all(load_templates(folder).fwhm == 3.4)


def test_own_templates_show_their_age():
    templates = load_templates()
    old = int(np.argmax(templates.log_age + templates.metallicity))
    young = int(np.argmin(abs(templates.log_age - 8.5)))
    hbeta = lick_index(templates.wavelength, templates.flux, "Hbeta")
    magnesium = lick_index(templates.wavelength, templates.flux, "Mgb")
    assert hbeta[young] > 4.0 > hbeta[old]
    assert magnesium[old] > 3.0 > magnesium[young]


def test_thinned_keeps_the_range_of_ages():
    age = np.repeat(np.linspace(6.0, 10.1, 100), 2)
    metals = np.tile([0.0, -0.4], 100)
    many = Templates("many", WAVE, np.ones((200, len(WAVE))), np.full(len(WAVE), 2.5), age, metals)
    few = thinned(many, 20)
    assert few.n_templates <= 20
    assert few.log_age.min() < 6.1
    assert few.log_age.max() > 10.0


def test_what_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        load_templates(tmp_path / "missing")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match="expected a folder of FITS spectra"):
        load_templates(tmp_path / "text.npz")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="holds no"):
        load_templates(empty)
    for name, data in (("table", None), ("image", np.ones((4, 5)))):
        (tmp_path / name).mkdir()
        fits.PrimaryHDU(data).writeto(tmp_path / name / "first.fits")
        with pytest.raises(InputError, match="expected one spectrum"):
            load_templates(tmp_path / name)
    fits.PrimaryHDU(np.ones(3)).writeto(tmp_path / "other.fits")
    with pytest.raises(InputError, match="ZMET_"):
        load_templates(tmp_path / "other.fits")


def test_a_name_needs_its_package(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="sdss-mangadap"):
        find_templates("mastar")

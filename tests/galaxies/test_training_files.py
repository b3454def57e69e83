"""Catalogues of FastSpecFit and MPA-JHU under their real column names, and learning from files."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from nebulines.errors import InputError, UsageError
from nebulines.galaxies import LINES
from nebulines.galaxies.widths.bins import bin_flux, bin_rows, bin_weights
from nebulines.galaxies.widths.catalogues import catalogue_of, read_width_catalogue
from nebulines.galaxies.widths.samples import TEST, TRAINING, draw_sample
from nebulines.galaxies.widths.tasks import make_task, split
from nebulines.galaxies.widths.training_files import galaxies_of, read_galaxies
from nebulines.io import write_row_stacked
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis

FASTSPECFIT = ("OII_3726", "OII_3729", "HGAMMA", "HBETA", "OIII_4959", "OIII_5007", "NII_6548",
               "HALPHA", "NII_6584", "SII_6716", "SII_6731")  # fmt: skip
MPA_JHU = ("OII_3726", "OII_3729", "H_GAMMA", "H_BETA", "OIII_4959", "OIII_5007", "NII_6548",
           "H_ALPHA", "NII_6584", "SII_6717", "SII_6731")  # fmt: skip
HALPHA, OII = LINES.index("HALPHA6563"), LINES.index("OII3727")


def fastspecfit(ew: np.ndarray, ivar: np.ndarray) -> dict[str, np.ndarray]:
    columns = {f"{name}_EW": ew[:, k] for k, name in enumerate(FASTSPECFIT)}
    return columns | {f"{name}_EW_IVAR": ivar[:, k] for k, name in enumerate(FASTSPECFIT)}


def test_fastspecfit_with_its_metadata_extension(tmp_path):
    rng = np.random.default_rng(0)
    ew, ivar = rng.uniform(-1.0, 30.0, (4, 11)), rng.uniform(0.5, 4.0, (4, 11))
    ivar[2, 7] = 0.0
    path = tmp_path / "fastspec.fits"
    ids = np.arange(4) + 39627000000000000
    tables = [Table({"TARGETID": ids, **fastspecfit(ew, ivar)}),
              Table({"TARGETID": ids, "Z": np.linspace(0.1, 0.2, 4)})]  # fmt: skip
    hdus = [
        fits.BinTableHDU(t, name=n) for t, n in zip(tables, ("FASTSPEC", "METADATA"), strict=True)
    ]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    found = read_width_catalogue(path)
    assert found.kind == "fastspecfit"
    np.testing.assert_allclose(found.ew[:, OII], ew[:, 0] + ew[:, 1])
    np.testing.assert_allclose(found.ew_err[:, OII], np.sqrt(1 / ivar[:, 0] + 1 / ivar[:, 1]))
    np.testing.assert_allclose(found.ew[0, HALPHA], ew[0, 7])
    assert np.isinf(found.ew_err[2, HALPHA])
    np.testing.assert_allclose(found.redshift, np.linspace(0.1, 0.2, 4))
    assert found.ids.tolist() == ids.tolist()


def test_mpa_jhu_has_emission_negative_and_blends_from_fluxes(tmp_path):
    n = 3
    columns = {f"{name}_EQW": np.full(n, -4.0) for name in MPA_JHU}
    columns |= {f"{name}_EQW_ERR": np.full(n, 0.5) for name in MPA_JHU}
    columns["H_BETA_EQW_ERR"][1] = -1.0
    plain = catalogue_of(columns)
    assert plain.kind == "mpa_jhu"
    np.testing.assert_allclose(plain.ew[0, [OII, HALPHA]], [8.0, 4.0])
    assert np.isinf(plain.ew_err[1, LINES.index("HBETA4861")])
    columns |= {"H_ALPHA_FLUX": np.full(n, 60.0), "H_ALPHA_FLUX_ERR": np.full(n, 3.0)}
    columns |= {"H_ALPHA_CONT": np.array([10.0, 10.0, 0.0])}
    path = tmp_path / "galSpecLine.fits"
    Table({**columns, "SPECOBJID": np.arange(n)}).write(path)
    found = read_width_catalogue(path)
    np.testing.assert_allclose(found.ew[:2, HALPHA], 6.0)
    np.testing.assert_allclose(found.ew_err[:2, HALPHA], 0.3)
    assert np.isinf(found.ew_err[2, HALPHA])


def test_other_tables_are_refused(tmp_path):
    with pytest.raises(InputError, match="HALPHA_EW_IVAR"):
        catalogue_of({"A": np.ones(2)})
    columns = fastspecfit(np.ones((2, 11)), np.ones((2, 11)))
    del columns["SII_6731_EW_IVAR"]
    with pytest.raises(InputError, match="SII_6731_EW_IVAR is missing"):
        catalogue_of(columns)
    with pytest.raises(UsageError, match="no catalogue"):
        read_width_catalogue(tmp_path / "absent.fits")
    (tmp_path / "text.fits").write_text("no table")
    with pytest.raises(InputError, match="cannot read"):
        read_width_catalogue(tmp_path / "text.fits")


def observed(n: int, redshift: np.ndarray) -> Spectra:
    """Power laws with a strong H-alpha, observed from 3600 to 9800 A."""
    wave = np.arange(3600.0, 9800.0, 2.0)
    rest = wave / (1.0 + redshift[:, None])
    flux = (rest / 5500.0) ** np.linspace(-1.0, 1.0, n)[:, None]
    flux = flux + 20.0 * np.exp(-0.5 * ((rest - 6564.6) / 2.5) ** 2)
    return Spectra(flux, SpectralAxis(wave, "wavelength", "vacuum"))


def test_spectra_and_catalogue_become_colours(tmp_path):
    n = 6
    redshift = np.array([0.1, 0.2, 0.3, 0.1, 0.45, 0.6])  # the last two do not cover the bins
    write_row_stacked(tmp_path / "spectra.fits", observed(n, redshift))
    ew = np.arange(66.0).reshape(n, 11)
    table = Table({"Z": redshift, **fastspecfit(ew, np.ones((n, 11)))})
    table.write(tmp_path / "fastspec.fits")
    files = (tmp_path / "spectra.fits", tmp_path / "fastspec.fits")
    found = read_galaxies(*files, view="colours")
    slopes = np.linspace(-1.0, 1.0, n)[:4]
    middle = 3550.0 + 300.0 * np.arange(12)
    expected = slopes[:, None] * np.diff(np.log10(middle))
    np.testing.assert_allclose(found.colours, expected, atol=2e-3)  # H-alpha is masked
    np.testing.assert_allclose(found.ew[:, HALPHA], ew[:4, 7])
    assert read_galaxies(*files, view="spectrum").colours.shape == (4, 120)


def test_rows_are_matched_by_targetid(tmp_path):
    redshift = np.array([0.1, 0.2, 0.3])
    path = tmp_path / "spectra.fits"
    write_row_stacked(path, observed(3, redshift))
    with fits.open(path, mode="append") as hdus:
        hdus.append(fits.BinTableHDU(Table({"TARGETID": [7, 8, 9]}), name="FIBERMAP"))
    ew = np.ones((2, 11)) * np.array([[9.0], [7.0]])
    table = Table({"TARGETID": [9, 7], "Z": redshift[[2, 0]], **fastspecfit(ew, np.ones((2, 11)))})
    table.write(tmp_path / "fastspec.fits")
    found = read_galaxies(path, tmp_path / "fastspec.fits", view="colours")
    assert found.ew[:, HALPHA].tolist() == [7.0, 9.0]
    assert found.colours[0, 0] < found.colours[1, 0]


def test_files_that_do_not_fit_are_refused(tmp_path):
    redshift = np.full(3, 0.1)
    widths = catalogue_of(fastspecfit(np.ones((3, 11)), np.ones((3, 11))))
    with pytest.raises(InputError, match="add a column Z"):
        galaxies_of(observed(3, redshift), widths)
    far = widths._replace(redshift=np.full(3, 2.0))
    with pytest.raises(InputError, match="none of 3 spectra"):
        galaxies_of(observed(3, redshift), far)
    write_row_stacked(tmp_path / "spectra.fits", observed(2, redshift[:2]))
    Table(fastspecfit(np.ones((3, 11)), np.ones((3, 11)))).write(tmp_path / "fastspec.fits")
    with pytest.raises(InputError, match="3 rows for 2 spectra"):
        read_galaxies(tmp_path / "spectra.fits", tmp_path / "fastspec.fits", view="colours")


def test_running_integrals_agree_with_weights():
    rng = np.random.default_rng(1)
    wave = np.sort(rng.uniform(3300.0, 7100.0, (2, 900)), axis=1)
    flux, usable = rng.uniform(1.0, 2.0, wave.shape), rng.uniform(size=wave.shape) > 0.2
    expected = bin_flux(flux, bin_weights(wave), usable)
    found = bin_rows(flux, wave, usable)
    np.testing.assert_allclose(found.flux, expected.flux, rtol=1e-5)
    np.testing.assert_allclose(found.coverage, expected.coverage, atol=1e-5)


def test_a_users_galaxies_are_split_into_disjoint_sets():
    galaxies = draw_sample(1200, 3, TRAINING).galaxies
    parts = split(galaxies, 0)
    rows = np.concatenate([part.galaxies.ew[:, 0] for part in parts])
    assert [len(part.true_ew) for part in parts] == [840, 180, 180]
    assert sorted(rows.tolist()) == sorted(galaxies.ew[:, 0].tolist())
    with pytest.raises(InputError, match="1000 galaxies"):
        split(galaxies.rows(slice(0, 500)), 0)


def test_streams_are_independent_and_views_agree():
    first, second = (draw_sample(300, 1, stream) for stream in (TRAINING, TEST))
    assert not np.intersect1d(first.true_ew[:, HALPHA], second.true_ew[:, HALPHA]).size
    again = draw_sample(300, 1, TEST, view="spectrum")
    np.testing.assert_array_equal(again.true_ew, second.true_ew)
    np.testing.assert_array_equal(again.galaxies.ew, second.galaxies.ew)


def test_the_task_trains_the_network_of_its_view(monkeypatch):
    monkeypatch.setattr("nebulines.galaxies.widths.tasks.N_VALIDATION", 200)
    monkeypatch.setattr("nebulines.galaxies.widths.tasks.N_TEST", 300)
    task = make_task("equivalent_width_spectrum", seed=0, spectra=400)
    import jax

    network = task.build(jax.random.key(0), **task.size)
    scores = task.score(network)
    assert set(scores["spearman"]) == set(LINES)
    assert network.offset.shape == (120,)
    assert "--spectra" in task.about["options"]

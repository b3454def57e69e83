"""Populations from files: what paint wrote, spectra alone, and what is no population."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from nebulines.errors import InputError, UsageError
from nebulines.explorer import explore
from nebulines.explorer.page import read_page
from nebulines.explorer.rest_frame import EDGES, GRID, resampled
from nebulines.galaxies import LINES
from nebulines.io import write_row_stacked
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis, vacuum_to_air

WAVE = np.arange(3350.0, 7100.0, 2.0)
N = 120


def continua() -> np.ndarray:
    slope = np.linspace(-1.0, 0.8, N)[:, None]
    step = 1.0 + 0.3 * (1.0 + 0.5 * slope) * np.tanh((WAVE - 4000.0) / 60.0)
    return 2.0 * (WAVE / 5500.0) ** slope * step


def write_lines(path, columns, n=N, **header):
    table = Table({name: np.asarray(values, float) for name, values in columns.items()})
    hdu = fits.BinTableHDU(table if len(columns) else Table({"a": np.zeros(n)}), name="LINES")
    hdu.header.update(header)
    with fits.open(path) as hdus:
        fits.HDUList([*(h.copy() for h in hdus if h.name != "LINES"), hdu]).writeto(
            path, overwrite=True
        )


def write_spectra(path, flux=None, wave=WAVE, medium="vacuum", **options):
    flux = continua() if flux is None else flux
    axis = SpectralAxis(wave, "wavelength", medium)
    write_row_stacked(path, Spectra(flux, axis, unit="erg s-1 cm-2 Angstrom-1", **options))


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """Continua with an H-alpha line in them, predicted and observed widths, and names."""
    path = tmp_path_factory.mktemp("painted") / "painted.fits"
    flux = continua()
    at = np.abs(WAVE - 6564.6).argmin()
    flux += 25.0 * flux[:, [at]] * np.exp(-0.5 * ((WAVE - 6564.6) / 3.0) ** 2) / 7.52
    flux[5, :800] = np.nan
    write_spectra(path, flux)
    widths = {f"EW_{name}": np.full(N, 10.0 + k) for k, name in enumerate(LINES)}
    seen = {f"EW_{name}_observed": np.full(N, 9.0 + k) for k, name in enumerate(LINES)}
    errors = {f"EW_{name}_observed_err": np.full(N, 1.0) for name in LINES}
    write_lines(path, {**widths, **seen, **errors}, BROADEN=130.0)
    rows = Table({"targetid": [f"t{k}" for k in range(N)], "log_mass": np.linspace(9, 11, N)})
    with fits.open(path, mode="append") as hdus:
        hdus.append(fits.BinTableHDU(rows, name="SPECTRA"))
    return path


def test_a_painted_file_becomes_a_page(painted):
    page = explore(painted)
    assert page == painted.with_name("painted_EXPLORER.html")
    document, arrays = read_page(page)
    assert [v["key"] for v in document["variants"]] == ["observed", "predicted", "noisy"]
    assert document["broadening"] == 130.0
    assert document["ids"][3] == "t3"
    halpha = LINES.index("HALPHA6563")
    assert arrays["ew-predicted"][halpha] == pytest.approx(16.0, abs=0.02)
    assert arrays["ew-observed"][halpha] == pytest.approx(15.0, abs=0.02)
    names = [column["name"] for column in document["columns"]]
    assert names[:4] == ["colour", "sequence", "bpt", "support"]
    mass = arrays[f"column-{names.index('log_mass')}"]
    assert mass == pytest.approx(np.linspace(9, 11, N), abs=1e-3)
    support = document["columns"][3]["names"]
    assert support[arrays["column-3"][5]] == "incomplete"
    assert np.isnan(arrays["embedding-0"][:, 5]).all()
    assert np.isnan(arrays["ew-noisy"][:, 5]).all()


def test_the_line_is_taken_out_of_the_stars(painted):
    _, arrays = read_page(explore(painted, painted.with_name("again.html")))
    i = 60
    shown = arrays["level"][i] * (arrays["mean"] + arrays["coefficients"][i] @ arrays["basis"])
    stars = np.interp(GRID, WAVE, continua()[i])
    assert np.abs(shown / stars - 1.0).max() < 0.02


def test_spectra_without_lines_get_predictions(tmp_path):
    write_spectra(tmp_path / "stars.fits", wave=vacuum_to_air(WAVE), medium="air")
    document, arrays = read_page(explore(tmp_path / "stars.fits", tmp_path / "a.html"))
    assert [v["key"] for v in document["variants"]] == ["predicted", "noisy"]
    halpha = arrays["ew-predicted"][LINES.index("HALPHA6563")]
    assert halpha[:20].mean() > 3.0 * halpha[-20:].mean()  # blue galaxies have the lines
    assert document["columns"][2]["label"] == "BPT class, predicted"


def test_drawn_widths_are_shown_as_such(tmp_path):
    path = tmp_path / "drawn.fits"
    write_spectra(path)
    write_lines(path, {f"EW_{name}": np.full(N, 5.0) for name in LINES}, SCATTER=True)
    _, arrays = read_page(explore(path))
    assert np.allclose(arrays["ew-noisy"], 5.0, atol=0.01)
    assert not np.allclose(arrays["ew-predicted"], 5.0, atol=0.1)


def test_mock_galaxies_show_their_truth(tmp_path):
    from nebulines.fitting.result import Result

    write_spectra(tmp_path / "mock.fits")
    known = {f"{name}_ew": np.full(N, 2.0 + k) for k, name in enumerate(LINES) if k}
    known |= {"OII3726_ew": np.full(N, 3.0), "OII3729_ew": np.full(N, 4.0)}
    known |= {"class_number": np.arange(N) % 2, "log_mass": np.linspace(9, 11, N)}
    meta = {"CLASSES": '["emission", "quiescent"]', "LINES": "{}"}
    truth = Result({**known, "broadening": np.full(N, 70.0)}, "", meta)
    truth.write(tmp_path / "mock_TRUTH.fits")
    document, arrays = read_page(explore(tmp_path / "mock.fits"))
    assert [v["key"] for v in document["variants"]] == ["true", "predicted", "noisy"]
    assert arrays["ew-true"][:2, 0] == pytest.approx([7.0, 3.0], abs=0.02)
    assert arrays["broadening"] == pytest.approx(np.full(N, 70.0))
    names = [column["name"] for column in document["columns"]]
    assert document["columns"][names.index("kind")]["names"] == ["emission", "quiescent"]
    write_spectra(tmp_path / "mock.fits", continua()[:110])
    with pytest.raises(InputError, match="truth of another file"):
        explore(tmp_path / "mock.fits")


def test_the_grid_conserves_flux():
    rng = np.random.default_rng(0)
    wave = np.sort(rng.uniform(3300.0, 7100.0, 3000))
    flux = rng.uniform(1.0, 2.0, (2, 3000))
    one = resampled(flux, wave)
    each = resampled(flux, np.stack([wave, wave]))
    assert one == pytest.approx(each)
    middle = 0.5 * (wave[1:] + wave[:-1])
    cells = np.concatenate([[2 * wave[0] - middle[0]], middle, [2 * wave[-1] - middle[-1]]])
    inside = np.clip(np.minimum(cells[1:], EDGES[-1]) - np.maximum(cells[:-1], EDGES[0]), 0, None)
    assert one.sum(axis=1) * np.diff(EDGES)[0] == pytest.approx((flux * inside).sum(axis=1))


def test_files_that_are_no_population(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        explore(tmp_path / "nothing.fits")
    (tmp_path / "text.fits").write_text("hello")
    with pytest.raises(InputError, match="no FITS file"):
        explore(tmp_path / "text.fits")
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "image.fits")
    with pytest.raises(InputError, match="spectra"):
        explore(tmp_path / "image.fits")
    write_spectra(tmp_path / "short.fits", continua()[:, :600], WAVE[:600])
    with pytest.raises(InputError, match="3400 to 7000"):
        explore(tmp_path / "short.fits")
    write_spectra(tmp_path / "z.fits", redshift=0.1)
    with pytest.raises(InputError, match="--frame"):
        explore(tmp_path / "z.fits")
    assert not list(tmp_path.glob("*.html"))


def test_tables_without_lines_are_refused(tmp_path):
    path = tmp_path / "nolines.fits"
    write_spectra(path)
    write_lines(path, {"width": np.zeros(N)})
    with pytest.raises(InputError, match=r"no lines: the table LINES has none of .* but width"):
        explore(path)
    write_lines(path, {"EW_HALPHA6563": np.zeros(3)})
    with pytest.raises(InputError, match="3 rows for 120 spectra"):
        explore(path)


def test_nothing_but_missing_flux_is_refused(tmp_path):
    write_spectra(tmp_path / "empty.fits", np.full((3, WAVE.size), np.nan))
    with pytest.raises(InputError, match="nothing to show"):
        explore(tmp_path / "empty.fits")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "red"}, "unknown colour; there are n, seed"),
        ({"n": 5}, "100 galaxies or more, not 5"),
        ({"output": "page.pdf"}, "must end in .html"),
    ],
)
def test_wrong_options(painted, options, message):
    with pytest.raises(UsageError, match=message):
        explore(painted, **options)

"""The page: every part of a result in its place, in files that open."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from matplotlib import image as images
from matplotlib import rc_context, rcParams

from nebulines.errors import InputError, UsageError
from nebulines.fitting.result import Result
from nebulines.plots import plot_result, save_figure
from nebulines.plots.fitted import model_reader, observed_lines
from nebulines.plots.measured import shown
from nebulines.plots.style import RC, unit_label
from nebulines.plots.table import draw_table
from nebulines.spectra import Flag
from nebulines.spectra.cube import Block

PANELS = [
    r"H$\alpha$ flux",
    "velocity",
    "velocity dispersion",
    r"[N II] 6583 / H$\alpha$",
    "signal to noise",
    "quality flags",
]


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_page_has_the_maps_and_six_spectra(fake):
    figure = plot_result(fake.result, fake.cube, model=fake.model)
    assert titles(figure) == PANELS
    written = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert [sum(t.startswith(f"{k}   (y, x)") for t in written) for k in range(1, 7)] == [1] * 6


def test_a_classified_result_shows_what_its_lines_mean(fake):
    n = len(fake.result)
    classes = np.where(np.arange(n) < 3, 0, 4)
    more = {"ebv": np.linspace(0.0, 1.0, n), "electron_density": np.full(n, 100.0),
            "bpt_nii": np.ones(n, int), "region_class": classes}  # fmt: skip
    figure = plot_result(replace(fake.result, columns={**fake.result.columns, **more}))
    assert titles(figure) == ["E(B−V)", "electron density", "BPT class, [N II]", "class of nebula"]
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    assert [[text.get_text() for text in legend.get_texts()] for legend in legends] == [
        [f"star-forming ({n})"],
        ["unknown (3)", f"diffuse gas ({n - 3})"],
    ]
    figure.draw_without_rendering()


def test_residuals_drawn_are_those_of_the_data(fake):
    """The data minus the noise-free model, over the error, are standard normal."""
    figure = plot_result(fake.result, fake.cube, model=fake.model)
    below = [axes for axes in figure.axes if axes.get_ylim()[0] == -axes.get_ylim()[1]]
    residuals = np.concatenate([axes.lines[-1].get_ydata() for axes in below])
    assert residuals.size > 300
    assert residuals.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * residuals.size))
    assert residuals.mean() == pytest.approx(0.0, abs=4 / np.sqrt(residuals.size))


def test_model_cube_on_disk_gives_the_same_figure_as_the_array(fake, tmp_path):
    path = tmp_path / "x_MODEL.fits"
    ny, nx = fake.result.shape
    cube = fake.model.reshape(ny, nx, -1).transpose(2, 0, 1)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(cube, name="FLUX")]).writeto(path)
    read = model_reader(path, fake.result.shape)
    np.testing.assert_array_equal(read(17), fake.model[17])


def test_what_is_no_model_cube_is_refused_with_its_name(tmp_path):
    path = tmp_path / "x_MODEL.fits"
    fits.PrimaryHDU().writeto(path)
    with pytest.raises(InputError, match=r"x_MODEL\.fits is not a model cube"):
        model_reader(path, (2, 2))(0)


def test_lines_are_marked_where_the_gas_puts_them(fake):
    row = int(np.nanargmax(fake.result["snr"]))
    peak = observed_lines(fake.result, row, medium="air")["HALPHA6563"]
    wavelength = np.arange(4750.0, 9350.0, 2.5)
    near = np.abs(wavelength - peak) < 8
    assert wavelength[near][np.argmax(fake.model[row][near])] == pytest.approx(peak, abs=1.3)
    vacuum = observed_lines(fake.result, row, medium="vacuum")["HALPHA6563"]
    assert vacuum / peak == pytest.approx(6564.614 / 6562.80, rel=1e-6)


def test_grey_is_what_is_not_measured(fake):
    result = fake.result
    snr = result["HALPHA6563_flux"] / result["HALPHA6563_flux_err"]
    assert 0 < np.count_nonzero(snr < 3) < snr.size
    np.testing.assert_array_equal(shown(result, "HALPHA6563_flux"), snr > 3)
    assert shown(result, "snr").all()
    flags = result["flags"].copy()
    best = int(np.argmax(snr))
    for bit, kept in ((Flag.UNRESOLVED, ["velocity"]), (Flag.AMBIGUOUS_VELOCITY, [])):
        flags[best] = int(bit)
        changed = replace(result, columns={**result.columns, "flags": flags})
        columns = ("velocity", "broadening")
        assert [name for name in columns if shown(changed, name)[best]] == kept
    error = result["velocity_err"].copy()
    error[best] = np.nan  # a limit
    limited = replace(result, columns={**result.columns, "velocity_err": error})
    assert shown(result, "velocity")[best]
    assert not shown(limited, "velocity")[best]


def test_maps_alone(fake):
    figure = plot_result(fake.result, panels=["velocity", "chi2"])
    assert titles(figure) == ["velocity", "reduced χ²"]


def test_nothing_to_draw_is_said(fake):
    with pytest.raises(UsageError, match="nothing to draw"):
        plot_result(fake.result, panels=["not there"])


def test_result_of_a_table_is_drawn_against_signal_to_noise(fake):
    ny, nx = fake.result.shape
    spectra = fake.cube.read_block(Block(0, ny, 0, nx))
    table = replace(fake.result, shape=None, wcs=None)
    figure = plot_result(table, spectra, model=fake.model, count=4)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert "velocity [km s$^{-1}$]" in labels
    written = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert sum("spectrum" in text for text in written) == 4


def test_files_are_whole_and_matplotlib_is_left_as_it_was(fake, tmp_path):
    before = dict(rcParams)
    png, pdf = save_figure(plot_result(fake.result), tmp_path / "page")
    assert dict(rcParams) == before
    picture = images.imread(png)
    assert picture.shape[1] == 2000
    assert picture[..., :3].std() > 0.05
    assert pdf.read_bytes().startswith(b"%PDF")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.pdf", "page.png"]


def test_units_are_typeset():
    label = unit_label("1e-17 erg/s/cm^2/Ang/spaxel")
    assert label == r"$10^{-17}$ erg s$^{-1}$ cm$^{-2}$ $\mathrm{\AA}$$^{-1}$"
    assert unit_label("2e-16 erg s-1 cm-2").startswith(r"2 $\times$ $10^{-16}$ erg")
    assert unit_label("") == ""


def test_the_labels_of_one_row_are_within_the_figure():
    columns = {"snr": [337.0], "HALPHA6563_flux": [2e-15], "HALPHA6563_flux_err": [6e-16]}
    meta = {"FLUXUNIT": "1e-17 erg s-1 cm-2 Angstrom-1"}
    one = Result({name: np.array(value) for name, value in columns.items()}, meta=meta)
    figure = draw_table(one, panels=["HALPHA6563_flux"])
    with rc_context(RC):
        figure.draw_without_rendering()
    assert figure.axes[0].get_ylabel().startswith(r"H$\alpha$ flux [")
    assert figure.axes[0].get_tightbbox().x0 >= 0.0

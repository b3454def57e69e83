"""Painted lines: where they are, how much flux they carry, and what is refused or flagged."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy import units

import nebulines as nl
from nebulines.errors import InputError, UsageError
from nebulines.galaxies import LINES, Painter, load_predictor
from nebulines.galaxies.widths.bins import bin_flux, bin_weights, colours
from nebulines.galaxies.widths.config import PaintConfig
from nebulines.galaxies.widths.files import paint_file
from nebulines.galaxies.widths.parquet import ParquetContinua, read_columns
from nebulines.instruments import LineSpread
from nebulines.spectra import Flag, Spectra
from nebulines.spectral_axis import SpectralAxis, vacuum_to_air

HALPHA = LINES.index("HALPHA6563")
HALPHA_VACUUM = 6564.61


@pytest.fixture(scope="module")
def flat(wavelength) -> np.ndarray:
    return np.full((2, len(wavelength)), 3.0)


def moments(wavelength, line, low, high):
    """Flux, centre and standard deviation of what lies between two wavelengths."""
    inside = (wavelength > low) & (wavelength < high)
    x, y = wavelength[inside], line[inside]
    flux = np.trapezoid(y, x)
    centre = np.trapezoid(y * x, x) / flux
    return flux, centre, np.sqrt(np.trapezoid(y * (x - centre) ** 2, x) / flux)


def test_widths_are_those_of_the_colours(wavelength, continua, random_file, double):
    network = load_predictor(random_file).network
    binned = bin_flux(continua, bin_weights(wavelength)).flux
    painted = nl.paint(continua, wavelength, weights=random_file)
    np.testing.assert_allclose(painted.ew, np.sinh(network(colours(binned))), rtol=1e-10)


def test_the_network_of_the_package_is_the_default(wavelength, continua):
    painted = nl.paint(continua, wavelength)
    halpha = painted.ew[:, HALPHA]
    assert np.isfinite(painted.ew).all()
    assert halpha[0] > halpha[-1]
    assert (painted.ew_err > 0).all()


def test_flux_of_a_line_is_width_times_continuum(wavelength, flat, random_file, double):
    painted = nl.paint(flat, wavelength, weights=random_file)
    np.testing.assert_allclose(painted.line_flux, 3.0 * painted.ew, rtol=1e-10)
    added = (painted.flux - flat).sum(axis=1) * 2.0
    np.testing.assert_allclose(added, painted.line_flux.sum(axis=1), rtol=1e-8)


def test_width_and_place_of_a_line(random_file, double):
    wave = np.arange(3300.0, 7100.0, 0.1)
    spread = LineSpread("gaussian", resolution=3000.0)
    painter = Painter(wave, load_predictor(random_file).network, line_spread=spread)
    fluxes = np.zeros((1, 11))
    fluxes[0, 7] = 5.0
    line = np.asarray(painter.line_spectrum(fluxes, 150.0))[0]
    flux, centre, sigma = moments(wave, line, 6500.0, 6630.0)
    expected = np.hypot(HALPHA_VACUUM * 150.0 / 299792.458, HALPHA_VACUUM / 3000.0 / 2.35482)
    assert flux == pytest.approx(5.0, rel=1e-6)
    assert centre == pytest.approx(HALPHA_VACUUM, abs=0.01)
    assert sigma == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("step", [0.3, 5.0, 40.0])
def test_flux_is_conserved_on_any_grid(random_file, double, step):
    wave = np.arange(3300.0, 7100.0, step)
    painter = Painter(wave, load_predictor(random_file).network)
    line = np.asarray(painter.line_spectrum(np.ones((1, 11)), 60.0))
    assert line.sum() * step == pytest.approx(11.0, rel=1e-8)


@pytest.mark.parametrize("broadening", [30.0, 499.0, 501.0, 3000.0])
def test_windows_around_lines_hold_all_of_them(random_file, double, broadening):
    """Narrow lines are computed around their places alone, broad ones everywhere; rows with axes of
    their own know no windows and say what is right."""
    wave = np.arange(3300.0, 7100.0, 3.0)
    network, fluxes = load_predictor(random_file).network, np.arange(1.0, 12.0)[None]
    painter = Painter(wave, network)
    one = painter.line_spectrum(fluxes, broadening)
    rows = Painter(wave[None], network).line_spectrum(fluxes, np.array([broadening]))
    np.testing.assert_allclose(one, rows, atol=1e-8 * float(np.max(rows)))
    traced = jax.jit(lambda b: painter.line_spectrum(fluxes, b))(broadening)
    np.testing.assert_allclose(traced, one, rtol=1e-12)


def test_oxygen_is_two_lines_with_the_ratio_asked_for(random_file, double):
    wave = np.arange(3300.0, 7100.0, 0.05)
    painted = nl.paint(
        np.ones((1, len(wave))), wave, weights=random_file, broadening_kms=20.0, oii_ratio=0.8
    )
    line = painted.flux[0] - 1.0
    blue = moments(wave, line, 3720.0, 3728.49)[0]
    red = moments(wave, line, 3728.49, 3736.0)[0]
    assert red / blue == pytest.approx(0.8, rel=1e-3)
    assert red + blue == pytest.approx(painted.ew[0, 0], rel=1e-4)


def test_absorption_under_a_line_does_not_lower_its_flux(wavelength, random_file, double):
    trough = 1.0 - 0.5 * np.exp(-0.5 * ((wavelength - 4862.7) / 4.0) ** 2)
    painted = nl.paint(trough[None], wavelength, weights=random_file)
    k = LINES.index("HBETA4861")
    assert painted.line_flux[0, k] == pytest.approx(painted.ew[0, k], rel=1e-3)


def test_air_and_vacuum_give_the_same_widths(wavelength, continua, random_file, double):
    air = vacuum_to_air(wavelength)
    vacuum = nl.paint(continua, wavelength, weights=random_file)
    in_air = nl.paint(continua, air, weights=random_file, medium="air")
    np.testing.assert_allclose(in_air.ew, vacuum.ew, rtol=1e-8)
    peak = [w[np.argmax(np.abs(p.flux - continua)[2, 1600:1660]) + 1600]
            for w, p in ((wavelength, vacuum), (air, in_air))]  # fmt: skip
    assert peak[0] - peak[1] == pytest.approx(1.8, abs=0.3)


def test_one_axis_a_spectrum_is_the_same(wavelength, continua, random_file, double):
    options = {"weights": random_file, "mask_kms": 600.0}
    shared = nl.paint(continua, wavelength, **options)
    own = nl.paint(continua, np.tile(wavelength, (5, 1)), **options)
    np.testing.assert_allclose(own.flux, shared.flux, rtol=1e-10)


def test_one_broadening_a_spectrum_is_the_same(wavelength, continua, random_file, double):
    shared = nl.paint(continua, wavelength, weights=random_file, broadening_kms=80.0)
    own = nl.paint(continua, wavelength, weights=random_file, broadening_kms=np.full(5, 80.0))
    np.testing.assert_allclose(own.flux, shared.flux, rtol=1e-10)


def test_gradient_agrees_with_finite_differences(wavelength, continua, random_file, double):
    direction = np.random.default_rng(0).normal(size=continua[0].shape)

    def total(step):
        flux = jnp.asarray(continua[:1]) + step * direction
        painted = nl.paint(flux, wavelength, weights=random_file)
        return painted.ew[0, HALPHA] + jnp.sum(painted.flux[0, 1600:1650])

    slope = jax.jit(jax.grad(total))(0.0)
    difference = (total(jnp.asarray(1e-5)) - total(jnp.asarray(-1e-5))) / 2e-5
    assert float(slope) == pytest.approx(float(difference), rel=1e-5)


def test_vectorised_over_equals_a_batch(wavelength, continua, random_file, double):
    painter = Painter(wavelength, load_predictor(random_file).network)
    batch = painter(continua).flux
    rows = jax.vmap(lambda row: painter(row[None]).flux[0])(jnp.asarray(continua))
    np.testing.assert_allclose(rows, batch, rtol=1e-12)


def test_blocks_do_not_change_the_answer(wavelength, continua, random_file, monkeypatch, double):
    whole = nl.paint(continua, wavelength, weights=random_file)
    monkeypatch.setattr("nebulines.galaxies.widths.painting._BLOCK_VALUES", 2 * 2 * len(wavelength))
    parts = nl.paint(continua, wavelength, weights=random_file)
    np.testing.assert_allclose(parts.flux, whole.flux, rtol=1e-12)
    assert len(parts.flags) == 5


def test_draws_scatter_as_stated_and_repeat(wavelength, random_file):
    flat = np.ones((3000, len(wavelength)), np.float32)
    options = {"weights": random_file, "scatter": True}
    first = nl.paint(flat, wavelength, seed=1, **options)
    again = nl.paint(flat, wavelength, seed=1, **options)
    other = nl.paint(flat, wavelength, seed=2, **options)
    np.testing.assert_array_equal(first.ew, again.ew)
    assert not np.array_equal(first.ew, other.ew)
    low, high = np.percentile(first.ew, [15.87, 84.13], axis=0)
    np.testing.assert_allclose(0.5 * (high - low), first.ew_err[0], rtol=0.1)


def test_noise_is_as_asked_for(wavelength, flat, random_file):
    clean = nl.paint(flat, wavelength, weights=random_file)
    noisy = nl.paint(flat, wavelength, weights=random_file, snr=20.0)
    assert np.std(noisy.flux - clean.flux) == pytest.approx(3.0 / 20.0, rel=0.05)


def test_bad_rows_are_flagged_and_the_others_stay(wavelength, continua, random_file, double):
    flux = continua.copy()
    flux[1, 300:700] = np.nan
    flux[2] *= -1.0
    flux[3, 400] = np.inf
    clean = nl.paint(continua, wavelength, weights=random_file)
    painted = nl.paint(flux, wavelength, weights=random_file)
    assert (painted.flags[[1, 2]] & Flag.NO_DATA).all()
    assert painted.flags[3] & Flag.MASKED_CHANNELS
    assert np.isnan(painted.ew[[1, 2]]).all()
    np.testing.assert_allclose(painted.ew[[0, 4]], clean.ew[[0, 4]], rtol=1e-10)
    np.testing.assert_allclose(painted.ew[3], clean.ew[3], rtol=1e-2)
    assert np.isfinite(painted.ew_err[painted.flags == 0]).all()


def test_strange_colours_are_flagged(wavelength, continua, random_file):
    strange = continua * np.where(wavelength > 5000.0, 30.0, 1.0)
    assert (nl.paint(strange, wavelength, weights=random_file).flags & Flag.OUT_OF_RANGE).all()


def test_lines_in_the_input_leak_unless_they_are_masked(wavelength, continua, random_file, double):
    painted = nl.paint(continua, wavelength, weights=random_file)
    emission = continua + np.abs(painted.flux - continua) * 20.0
    kept = nl.paint(emission, wavelength, weights=random_file)
    masked = nl.paint(emission, wavelength, weights=random_file, mask_kms=600.0)
    error = [np.abs(np.asarray(p.colours) - painted.colours).max() for p in (kept, masked)]
    assert error[1] < 0.1 * error[0]


def spectra(wavelength, flux, **options) -> Spectra:
    return Spectra(flux, SpectralAxis(wavelength, "wavelength", "vacuum"), **options)


def test_spectra_in(wavelength, continua, random_file, double):
    direct = nl.paint(continua, wavelength, weights=random_file)
    from_set = nl.paint(spectra(wavelength, continua), weights=random_file)
    np.testing.assert_allclose(from_set.ew, direct.ew, rtol=1e-10)


def test_a_wavenumber_axis_is_read_backwards(wavelength, continua, random_file, double):
    axis = SpectralAxis(1e8 / wavelength[::-1], "wavenumber", "vacuum")
    direct = nl.paint(continua, wavelength, weights=random_file)
    turned = nl.paint(Spectra(continua[:, ::-1], axis), weights=random_file)
    np.testing.assert_allclose(turned.ew, direct.ew, rtol=1e-10)
    np.testing.assert_allclose(turned.flux[:, ::-1], direct.flux, rtol=1e-10)


def test_observed_spectra_are_refused_or_shifted(wavelength, continua, random_file, double):
    redshift = np.linspace(0.05, 0.1, 5)
    rest = nl.paint(continua, wavelength, weights=random_file)
    axis = SpectralAxis(wavelength * (1.0 + redshift[:, None]), "wavelength", "vacuum")
    observed = Spectra(continua, axis, redshift=redshift)
    with pytest.raises(InputError, match="rest frame"):
        nl.paint(observed, weights=random_file)
    shifted = nl.paint(observed, weights=random_file, frame="observed")
    np.testing.assert_allclose(shifted.ew, rest.ew, rtol=1e-8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"broadening_kms": -1.0}, "broadening"),
        ({"resolution": 0.0}, "resolution"),
        ({"snr": -3.0}, "snr"),
        ({"model_scatter": -1.0}, "model_scatter"),
        ({"frame": "lab"}, "frame"),
        ({"medium": "water"}, "medium"),
        ({"colour": 1}, "unknown colour"),
        ({"oii_ratio": -1.0}, "ratio"),
        ({"mask_kms": 0.0}, "half width"),
    ],
)
def test_wrong_options_are_refused(wavelength, flat, random_file, options, message):
    with pytest.raises(UsageError, match=message):
        nl.paint(flat, wavelength, **{"weights": random_file, **options})


def test_wrong_input_is_refused(wavelength, flat, random_file):
    with pytest.raises(InputError, match="per frequency"):
        nl.paint(flat * units.Jy, wavelength, weights=random_file)
    for unit in (units.kg, units.mag, units.Unit("erg / (s cm2)")):
        with pytest.raises(InputError, match="flux per wavelength, such as"):
            nl.paint(flat * unit, wavelength, weights=random_file)
    with pytest.raises(InputError, match="must be lengths"):
        nl.paint(flat, wavelength * units.Hz, weights=random_file)
    with pytest.raises(InputError, match="3400 to 7000"):
        nl.paint(flat, wavelength / 10.0, weights=random_file)
    with pytest.raises(InputError, match="do not fit"):
        nl.paint(flat, wavelength[:-1], weights=random_file)
    with pytest.raises(InputError, match="no continua"):
        nl.paint(flat[:0], wavelength, weights=random_file)
    with pytest.raises(InputError, match="real numbers"):
        nl.paint(flat + 1.0j, wavelength, weights=random_file)
    with pytest.raises(InputError, match="broadenings"):
        nl.paint(flat, wavelength, weights=random_file, broadening_kms=[1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match="wavelengths"):
        nl.paint(flat, weights=random_file)
    sinc = spectra(wavelength, flat, line_spread=LineSpread("sinc", fwhm_cm1=3.0))
    with pytest.raises(UsageError, match="sinc"):
        nl.paint(sinc, weights=random_file)


def test_quantities_are_converted(wavelength, flat, random_file):
    flam = units.Unit("erg / (s cm2 Angstrom)")
    painted = nl.paint(flat * flam, wavelength / 10.0 * units.nm, weights=random_file)
    np.testing.assert_allclose(
        painted.ew, nl.paint(flat, wavelength, weights=random_file).ew, rtol=1e-4
    )


@pytest.fixture
def parquet(wavelength, continua, tmp_path):
    pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")

    path = tmp_path / "continua.parquet"
    columns = {"galaxy": np.arange(5), "flux": list(continua)}
    table = arrow.table(columns).replace_schema_metadata(
        {
            "wavelength": str(wavelength.tolist()),
            "medium": "vacuum",
            "unit": "erg / (s cm2 Angstrom)",
        }
    )
    arrow.parquet.write_table(table, path)
    return path


@pytest.mark.parametrize("ending", [".parquet", ".fits"])
def test_parquet_is_painted_by_blocks_as_in_memory(
    parquet, wavelength, continua, random_file, tmp_path, monkeypatch, double, ending
):
    """Two rows a block: the answer, draws and noise included, is that of all rows at once."""
    monkeypatch.setattr("nebulines.galaxies.widths.files._BLOCK_VALUES", 2 * len(wavelength))
    config = PaintConfig(weights=random_file, scatter=True, seed=3, snr=20.0)
    counted = []
    out = tmp_path / f"painted{ending}"
    flags = paint_file(parquet, out, config, advance=counted.append)
    whole = nl.paint(continua, wavelength, weights=random_file, scatter=True, seed=3, snr=20.0)
    assert counted == [2, 2, 1]
    assert flags.tolist() == whole.flags.tolist()
    if ending == ".fits":
        painted = nl.read(out)
        np.testing.assert_allclose(painted.flux, whole.flux, rtol=1e-5)
        return
    columns = read_columns(out)
    assert columns["galaxy"].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(columns["EW_HALPHA6563"], whole.ew[:, HALPHA], rtol=1e-5)
    again, _ = next(ParquetContinua(out).blocks(5))
    np.testing.assert_allclose(again.flux, whole.flux, rtol=1e-5)
    assert again.axis.medium == "vacuum"
    assert again.unit == "erg / (s cm2 Angstrom)"


def test_parquet_that_is_not_continua_is_refused(tmp_path, random_file):
    pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")

    config, out = PaintConfig(weights=random_file), tmp_path / "out.parquet"
    bad = {
        "a column flux": arrow.table({"x": [1.0]}),
        "no wavelengths": arrow.table({"flux": [[1.0, 2.0]]}),
        "same length": arrow.table(
            {"flux": [[1.0], [1.0, 2.0]], "wavelength": [[1.0], [1.0, 2.0]]}
        ),
    }
    for message, table in bad.items():
        arrow.parquet.write_table(table, tmp_path / "bad.parquet")
        with pytest.raises(InputError, match=message):
            paint_file(tmp_path / "bad.parquet", out, config)
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(InputError, match="as Parquet"):
        paint_file(tmp_path / "text.parquet", out, config)
    with pytest.raises(UsageError, match=r"\.fits or \.parquet"):
        paint_file(tmp_path / "bad.parquet", tmp_path / "out.csv", config)
    assert not out.exists()


def test_real_galaxies_scatter_more_where_lines_are_masked(wavelength, continua, double):
    """Masked lines mean a measured spectrum: its error holds what the population does not know."""
    options = {"mask_kms": 600.0}
    stated = nl.paint(continua, wavelength, **options, model_scatter=0.0)
    real = nl.paint(continua, wavelength, **options)
    stars = nl.paint(continua, wavelength)
    assert (real.ew_err > 1.5 * stated.ew_err).all()
    np.testing.assert_allclose(real.ew, stated.ew, rtol=1e-10)
    np.testing.assert_allclose(stars.ew_err, stated.ew_err, rtol=0.1)


def test_a_starburst_beyond_those_learned_from_is_flagged(wavelength, continua):
    """Bluer and bluer, until hardly any galaxy of the population is so."""
    blue = continua[:1] * (wavelength / 5500.0) ** np.linspace(0.0, -2.0, 30)[:, None]
    painted = nl.paint(blue, wavelength)
    strongest = load_predictor("equivalent_width").network.support.strongest
    beyond = painted.ew[:, HALPHA] > strongest
    assert beyond.any()
    assert (painted.flags[beyond] & Flag.OUT_OF_RANGE).all()

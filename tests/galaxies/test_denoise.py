"""``denoise`` on spectra that are easy, awkward and wrong, with the shipped network."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import nebulines as nl
from nebulines.errors import InputError, UsageError
from nebulines.galaxies.denoising.axis import to_bins, to_channels
from nebulines.galaxies.denoising.engine import fit_in_basis
from nebulines.galaxies.denoising.gate import Evidence, evidence, judge
from nebulines.galaxies.denoising.lines import beside_lines, line_rows
from nebulines.galaxies.denoising.other_redshifts import moved_galaxies
from nebulines.galaxies.denoising.scores import covered, noisy
from nebulines.galaxies.denoising.tasks import half_varied
from nebulines.galaxies.denoising.training_sets import LINES, TEST, clean_set
from nebulines.networks.denoise.basis import white_statistics
from nebulines.networks.denoise.grid import bin_centres
from nebulines.networks.denoise.posterior import directions
from nebulines.networks.weights import load
from nebulines.spectra import Flag, Spectra
from nebulines.spectral_axis import SpectralAxis, air_to_vacuum
from nebulines.training.denoise.basis import line_profiles

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "spectra"
SIGMA = 0.02
HALPHA = LINES.index("HALPHA6563")


@pytest.fixture(scope="module")
def galaxies():
    return clean_set(200, 77, TEST)


def on_bins(flux, sigma=SIGMA, **options) -> Spectra:
    axis = SpectralAxis(bin_centres(), "wavelength", "air")
    return Spectra(flux, axis, np.full(flux.shape, sigma**2), redshift=0.0, **options)


@pytest.fixture(scope="module")
def result(galaxies):
    return nl.denoise(on_bins(noisy(galaxies.spectra, SIGMA, 1)), draws=60, prior="population")


def test_rendered_galaxies_hold_their_lines(galaxies):
    """The linear measure of the shipped basis against the true fluxes of clean spectra."""
    rows = line_rows(load("denoise").network.basis)
    flux, truth = galaxies.spectra @ rows.T, galaxies.line_flux
    strong = galaxies.ew[:, HALPHA] > 3.0
    assert np.median(np.abs(flux[strong, HALPHA] / truth[strong, HALPHA] - 1.0)) < 0.02
    ew = flux[:, HALPHA] / (galaxies.spectra @ beside_lines()[HALPHA])
    assert np.median(np.abs(ew[strong] / galaxies.ew[strong, HALPHA] - 1.0)) < 0.05


def test_any_part_of_a_set_of_both_priors_knows_both():
    """The basis is learned from the first galaxies of a large set."""
    varied = half_varied(80, 3, TEST).varied
    assert varied.sum() == 40
    assert 10 < varied[:40].sum() < 30


def test_sets_are_balanced_and_apart(galaxies):
    counts, _ = np.histogram(galaxies.log_halpha, np.linspace(0.2, 3.4, 11))
    assert np.all(counts == 20)
    other = clean_set(100, 77, TEST + 1)
    assert not np.isin(other.log_mass, galaxies.log_mass).any()


@pytest.mark.parametrize("network", ["denoise", "vae-4"])
@pytest.mark.parametrize("unit", [1e-17, 1e12])
def test_any_unit_gives_the_same_answer(galaxies, network, unit):
    """cgs numbers, whose squares single precision does not hold, among them."""
    flux = noisy(galaxies.spectra[:40], SIGMA, 4).astype(float)
    axis = SpectralAxis(bin_centres() * np.exp(0.0003), "wavelength", "air")
    variance = np.full(flux.shape, SIGMA**2) * np.linspace(0.8, 1.2, 825)
    options = {"redshift": 0.0, "network": network, "draws": 20 if network == "denoise" else 0}
    plain = nl.denoise(Spectra(flux, axis, variance), **options)
    tiny = nl.denoise(Spectra(flux * unit, axis, variance * unit**2), **options)
    np.testing.assert_array_equal(tiny.flags, plain.flags)
    np.testing.assert_allclose(tiny.flux / unit, plain.flux, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(tiny.err / unit, plain.err, rtol=1e-3)
    if options["draws"]:
        ours, theirs = tiny.lines(), plain.lines()
        for name, factor in (("HALPHA6563_flux", unit), ("HALPHA6563_ew", 1.0)):
            np.testing.assert_allclose(ours[name] / factor, theirs[name], rtol=0.02, atol=1e-4)


def test_noise_is_removed(galaxies, result):
    good = (result.flags & (Flag.POOR_FIT | Flag.OUT_OF_RANGE)) == 0
    assert good.mean() > 0.9
    error = np.mean((result.flux[good] - galaxies.spectra[good]) ** 2)
    assert error < 0.05 * SIGMA**2
    pull = (result.flux[good] - galaxies.spectra[good]) / result.err[good]
    assert 0.7 < np.std(pull) < 1.4


def test_draws_cover_the_truth(galaxies, result):
    flux = np.stack([rows @ line_rows(result.basis).T for rows in result.draws])
    share = covered(flux, galaxies.line_flux)[[HALPHA, LINES.index("OIII5007")]]
    assert np.all(np.abs(share - 0.683) < 0.12)


def test_the_table_of_lines(galaxies, result):
    table = result.lines()
    good = galaxies.ew[:, HALPHA] > 5.0
    ratio = table["HALPHA6563_flux"][good] / galaxies.line_flux[good, HALPHA]
    assert abs(np.median(ratio) - 1.0) < 0.1
    away = table["HALPHA6563_ew"][good] - galaxies.ew[good, HALPHA]
    assert np.mean(np.abs(away) < 3.0 * table["HALPHA6563_ew_err"][good]) > 0.9
    snr = table["HALPHA6563_snr"]
    assert np.median(snr[galaxies.ew[:, HALPHA] > 25.0]) > 2.0
    assert np.median(snr[galaxies.ew[:, HALPHA] < 3.0]) < 1.0
    with pytest.raises(UsageError, match="draws"):
        nl.denoise(on_bins(galaxies.spectra[:2])).lines()


def test_lines_that_are_all_too_weak_are_seen(galaxies, result):
    """by the gate, where each of them alone would pass."""
    network = load("denoise").network
    rows = np.flatnonzero(galaxies.ew[:, HALPHA] > 20.0)[:20]
    flux = noisy(galaxies.spectra[rows], SIGMA, 4)
    weight = jnp.full((len(rows), 1), SIGMA**-2)
    found = white_statistics(network.basis, weight * (flux @ network.basis.vectors.T), weight[:, 0])
    mean = flux @ network.basis.vectors.T
    lines = mean @ network.basis.coordinates[: len(LINES)].T
    seen = weight * (flux @ network.line_profile.T)
    moved = moved_galaxies().coarse
    right = evidence(network, flux, weight, mean, lines, found, seen, moved)
    shapes = directions(network.basis, network.line_profile).shapes
    share = 4.0 / jnp.sqrt(jnp.sum(jnp.square(lines / right.line_noise), axis=1))
    weak = evidence(network, flux, weight, mean - (share[:, None] * lines) @ shapes.T, lines,
                    found, seen, moved)  # fmt: skip
    assert np.all(np.abs(right.together) < 1.0)
    assert np.all(weak.together > 3.0)
    assert np.median(np.max(np.abs(weak.line_sigmas), axis=1)) < 4.0


def test_draws_that_leave_the_data_are_stopped(galaxies):
    """A posterior that holds a line for much weaker than the spectrum shows is no silent answer."""
    network = load("denoise").network
    rows = np.flatnonzero(galaxies.ew[:, HALPHA] > 20.0)[:8]
    flux = noisy(galaxies.spectra[rows], SIGMA, 5)
    weight = jnp.full((len(rows), 1), SIGMA**-2)
    b = weight * (flux @ network.basis.vectors.T)
    found = white_statistics(network.basis, b, weight[:, 0])
    mean = flux @ network.basis.vectors.T
    lines = found.scale[:, None] * found.line
    low = lines.at[:, HALPHA].add(-5.0 * found.scale * found.sigma_line[:, HALPHA])
    projected, flags = weight * (flux @ network.line_profile.T), {}
    for name, drawn in (("right", lines), ("low", low)):
        moved = moved_galaxies().coarse
        seen = evidence(network, flux, weight, mean, drawn, found, projected, moved)
        flags[name] = judge(Evidence(*map(np.asarray, seen)), 0.15)
    assert flags["right"].refused.mean() < 0.3
    assert flags["low"].refused.all()
    assert np.all(flags["low"].flags & Flag.OUT_OF_RANGE)


def test_unusual_lines_are_flagged_where_posterior_and_data_differ():
    """Lines of 10 sigma, the posterior two sigma below them: usual; one far beyond, also where the
    posterior follows; three beyond; two beyond."""
    lines, row = np.ones((5, len(LINES))), np.ones(5)
    parts = dict.fromkeys(
        ("feature", "together", "outside", "hidden", "elsewhere", "moved"), 0.0 * row
    )
    parts |= {"share": row, "chi2": row, "noise": 0.02 * row, "signal": 99.0 * row}
    parts |= {"line_sigmas": 0.0 * lines, "line_noise": lines, "line_flux": 8.0 * lines}
    parts |= {"data_flux": 10.0 * lines, "data_error": lines, "disagreement": -2.0 * lines}
    first = np.arange(len(LINES))
    strength = [0.0 * first, 3.0 * (first < 1), 3.0 * (first < 1), 2.0 * (first < 3)]
    parts |= {"strength": np.stack([*strength, 2.0 * (first < 2)])}
    parts["disagreement"][2] = -0.5
    parts |= {name: parts[name].astype(bool) for name in ("outside", "hidden")}
    gate = judge(Evidence(**parts), 0.15)
    assert ((gate.flags & Flag.OUT_OF_RANGE) != 0).tolist() == [False, True, False, True, False]
    assert not gate.refused.any()


def test_strong_lines_keep_their_flux(galaxies):
    """[O III] ten times as strong as usual, far above its noise, in the draws as in the data."""
    line = LINES.index("OIII5007")
    flux = galaxies.spectra[:40] + 4.0 * line_profiles(["OIII5007"])
    truth = galaxies.line_flux[:40, line] + 4.0
    result = nl.denoise(on_bins(noisy(flux, 0.04, 3), 0.04), draws=60)
    table = result.lines()
    assert abs(np.median(table["OIII5007_flux"] / truth) - 1.0) < 0.15
    away = np.abs(table["OIII5007_flux"] - truth) / table["OIII5007_flux_err"]
    assert np.mean(away < 3.0) > 0.85


def test_the_wide_prior_follows_unlikely_lines(galaxies):
    strange = clean_set(300, 78, TEST, varied=True)
    spectra = on_bins(noisy(strange.spectra, 0.03, 2), 0.03)
    error = {}
    for prior in ("population", "wide"):
        clean = nl.denoise(spectra, prior=prior)
        error[prior] = np.median(np.mean((clean.flux - strange.spectra) ** 2, axis=1))
    assert error["wide"] < error["population"]
    with pytest.raises(UsageError, match="prior is one of"):
        nl.denoise(spectra, prior="narrow")
    with pytest.raises(UsageError, match="choose denoise-wide"):
        nl.denoise(spectra, network="denoise", prior="wide")


def test_the_same_seed_gives_the_same_draws(galaxies):
    spectra = on_bins(noisy(galaxies.spectra[:3], SIGMA, 1))
    one, other = (nl.denoise(spectra, draws=2, seed=s).draws for s in (5, 5))
    np.testing.assert_array_equal(one, other)
    assert not np.allclose(one, nl.denoise(spectra, draws=2, seed=6).draws)


def test_bins_and_channels_conserve_flux():
    """A redshifted vacuum spectrum of fine channels: lines land in their bins with their flux."""
    wave = np.arange(3900.0, 8900.0, 0.8)
    z = 0.1
    rest = wave / (1 + z)
    centre = float(air_to_vacuum(6562.8))
    flux = 1.0 + 20.0 * np.exp(-0.5 * ((rest - centre) / 3.0) ** 2)
    spectra = Spectra(flux[None], SpectralAxis(wave, "wavelength", "vacuum"), 0 * flux[None] + 1.0)
    binned = to_bins(spectra, np.array([z]))
    seen = binned.weight[0] > 0
    width = np.gradient(bin_centres())
    total = np.sum((binned.flux[0] - 1.0)[seen] * width[seen])
    assert total == pytest.approx(20.0 * 3.0 * np.sqrt(2 * np.pi), rel=0.01)
    assert abs(bin_centres()[np.argmax(binned.flux[0])] - 6562.8) < 4.0
    back = to_channels(binned.flux, spectra, np.array([z]))[0]
    inside = np.isfinite(back)
    assert np.sum((back - 1.0)[inside]) * 0.8 / 1.1 == pytest.approx(total, rel=0.02)
    assert np.isnan(back[wave / (1 + z) > 7905.0]).all()


def test_information_is_kept_when_channels_are_narrow():
    wave = np.geomspace(3600.0, 8000.0, 8000)
    spectra = Spectra(
        np.ones((1, 8000)), SpectralAxis(wave, "wavelength", "air"), np.ones((1, 8000))
    )
    weight = to_bins(spectra, np.zeros(1)).weight
    step = np.log(wave[1] / wave[0])
    wide = np.log(bin_centres()[1] / bin_centres()[0])
    assert np.median(weight) == pytest.approx(wide / step, rel=0.02)


def awkward(galaxies, change, sigma=0.01) -> np.ndarray:
    """Flags of galaxies with clear lines after a change of their spectra."""
    strong = np.flatnonzero(galaxies.ew[:, HALPHA] > 20.0)[:20]
    return nl.denoise(change(noisy(galaxies.spectra[strong], sigma, 3))).flags


def test_a_wrong_redshift_is_flagged(galaxies):
    def moved(flux):
        axis = SpectralAxis(1.03 * bin_centres(), "wavelength", "air")
        return Spectra(flux, axis, np.full(flux.shape, 0.01**2), redshift=0.0)

    assert np.mean((awkward(galaxies, moved) & (Flag.POOR_FIT | Flag.OUT_OF_RANGE)) != 0) > 0.8
    right = awkward(galaxies, lambda flux: on_bins(flux, 0.01))
    assert np.mean((right & (Flag.POOR_FIT | Flag.OUT_OF_RANGE)) != 0) < 0.3


def test_sky_residuals_are_flagged(galaxies):
    def spiked(flux):
        flux[:, 700:712:2] += 0.6
        return on_bins(flux)

    assert np.all(awkward(galaxies, spiked) & Flag.POOR_FIT)


def test_gaps_are_told_and_negative_continua_refused(galaxies):
    flux = noisy(galaxies.spectra[:4], SIGMA, 3)
    flux[1, 100:160] = np.nan
    flux[2] *= -1.0
    flux[3, 200:] = np.nan
    result = nl.denoise(on_bins(flux))
    assert not result.flags[0] & Flag.MASKED_CHANNELS
    assert result.flags[1] & Flag.MASKED_CHANNELS
    assert np.isfinite(result.flux[1]).all()
    assert result.flags[2] & Flag.LOW_SNR
    assert np.isnan(result.flux[2]).all()
    assert result.flags[3] & Flag.NO_DATA
    lost = np.isnan(result.flux).any(axis=1)
    assert np.all(result.flags[lost] != 0)


def test_short_bright_spectra_are_fitted(galaxies):
    """Most ways of the basis lie where nothing was seen: the fit behind the gate is no less right
    where it was, and its draws spread as its errors say."""
    network, seen = load("denoise-wide").network, slice(250, 600)
    weight = np.zeros((6, 825), np.float32)
    weight[:, seen] = 0.001**-2
    flux = np.where(weight > 0, noisy(galaxies.spectra[:6], 0.001, 7), 0.0).astype(np.float32)
    best, error, drawn = fit_in_basis(network.basis, flux, weight, draws=400, seed=0)
    vectors = np.asarray(network.basis.vectors)
    left = (best @ vectors - galaxies.spectra[:6])[:, seen]
    assert np.sqrt(np.mean(np.square(left))) < 0.001
    spread = np.std(drawn @ vectors, axis=0)
    np.testing.assert_allclose(spread, error, rtol=0.25)


def test_stronger_lines_than_any_are_flagged_or_fitted(galaxies):
    strong = galaxies.rows(galaxies.ew[:, HALPHA] > np.percentile(galaxies.ew[:, HALPHA], 93))
    extra = 5.0 * strong.line_flux @ line_profiles(LINES)
    flux = strong.spectra + extra
    flux /= np.linalg.norm(flux, axis=1, keepdims=True)
    result = nl.denoise(on_bins(noisy(flux, SIGMA, 9)))
    stopped = (result.flags & (Flag.POOR_FIT | Flag.OUT_OF_RANGE)) != 0
    rows = line_rows(result.basis)[HALPHA]
    close = np.abs(result.flux @ rows / (flux @ rows) - 1.0) < 0.15
    assert np.all(stopped | close)
    assert close.mean() > 0.9


def test_bad_input_is_told(galaxies):
    spectra = on_bins(galaxies.spectra[:2])
    bare = Spectra(spectra.flux, spectra.axis, spectra.variance)
    with pytest.raises(UsageError, match="--redshift"):
        nl.denoise(bare)
    with pytest.raises(UsageError, match="3 redshifts for 2 spectra"):
        nl.denoise(bare, redshift=[0.0, 0.1, 0.2])
    with pytest.raises(InputError, match="check the redshift"):
        nl.denoise(bare, redshift=5.0)
    with pytest.raises(UsageError, match="not ndarray"):
        nl.denoise(spectra.flux, redshift=0.0)
    with pytest.raises(UsageError, match="does not de-noise"):
        nl.denoise(spectra, network="kinematics")
    missing = nl.denoise(bare, redshift=[0.0, np.nan])
    assert missing.flags[1] & Flag.BAD_REDSHIFT
    assert np.isnan(missing.flux[1]).all()
    coarse = SpectralAxis(np.linspace(3700.0, 7900.0, 40), "wavelength", "air")
    with pytest.raises(InputError, match="too wide"):
        nl.denoise(Spectra(np.ones((1, 40)), coarse, np.ones((1, 40))), redshift=0.0)


def test_noise_is_estimated_where_none_is_given(galaxies):
    axis = SpectralAxis(bin_centres(), "wavelength", "air")
    result = nl.denoise(Spectra(noisy(galaxies.spectra[:5], 0.04, 1), axis), redshift=0.0)
    assert np.isfinite(result.flux).all()


def test_files_through_the_command(galaxies, tmp_path):
    from astropy.io import fits
    from click.testing import CliRunner

    from nebulines.cli.main import cli
    from nebulines.io import write_row_stacked

    source, target = tmp_path / "noisy.fits", tmp_path / "clean.fits"
    write_row_stacked(source, on_bins(noisy(galaxies.spectra[:3], SIGMA, 1), unit="Jy"))
    run = CliRunner().invoke(cli, ["denoise", str(source), "-o", str(target), "--draws", "4"])
    assert run.exit_code == 0, run.output
    with fits.open(target) as file:
        assert file["FLUX"].data.shape == file["ERR"].data.shape == (3, 825)
        assert file["DRAWS"].data.shape == (4, 3, 825)
        assert file["FLAGS"].data.shape == (3,)
        assert "HALPHA6563_flux" in file["LINES"].columns.names
        assert file["FLUX"].header["BUNIT"] == "Jy"
    assert len(nl.read(target)) == 3
    same = CliRunner().invoke(cli, ["denoise", str(source), "-o", str(source)])
    assert same.exit_code == 2
    assert "another name" in same.output
    for wrong in (["--redshift", "-3"], ["--redshift", "nan"], ["-o", str(tmp_path / "clean.txt")]):
        refused = CliRunner().invoke(cli, ["denoise", str(source), "-o", str(target), *wrong])
        assert refused.exit_code == 2, wrong
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean.fits", "noisy.fits"]
    lost = CliRunner().invoke(cli, ["denoise", str(tmp_path / "no.fits"), "-o", str(target)])
    assert lost.exit_code == 2


@pytest.mark.parametrize(
    "name", ["sdss/SDSS_GALAXY_10.fits", "desi/coadd-4-80613-thru20210324.fits",
             "manga/MaNGA_test_spectra.fits.gz"]
)  # fmt: skip
def test_real_spectra_go_through(name):
    path = REAL / name
    if not path.is_file():
        pytest.skip(f"no real spectra at {path}")
    spectra = nl.read(path)[:4]
    result = nl.denoise(spectra, redshift=None if spectra.redshift is not None else 0.03)
    assert result.flux.shape == spectra.flux.shape
    lost = np.isnan(result.flux).all(axis=1)
    assert np.all(result.flags[lost] != 0)
    assert not lost.all()


def test_spectra_come_to_the_bins_and_back_alike_alone_and_together(monkeypatch):
    rng, z = np.random.default_rng(3), np.array([0.0, 0.02, 0.1])
    axis = SpectralAxis(np.geomspace(3600.0, 9000.0, 3000), "wavelength", "vacuum")
    flux = rng.normal(1.0, 0.3, (3, 3000))
    spectra = Spectra(flux, axis, 0.09 + 0 * flux, rng.random(flux.shape) < 0.02)
    together = to_bins(spectra, z)
    back = to_channels(together.flux, spectra, z)
    monkeypatch.setattr("nebulines.galaxies.denoising.axis._SLAB", 1)
    for one, other in zip(to_bins(spectra, z), together, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(to_channels(together.flux, spectra, z), back)
    seen = np.isfinite(back)
    assert 0.5 < seen.mean() < 1.0
    assert abs(np.mean(back[seen]) - 1.0) < 0.05


@pytest.mark.parametrize("flux", [np.nan, 1.0])
def test_spectra_without_a_usable_channel_are_refused(flux):
    """No flux anywhere, or wavelengths in micrometres."""
    wave = bin_centres() * (1e-4 if flux == 1.0 else 1.0)
    spectra = Spectra(np.full((2, len(wave)), flux), SpectralAxis(wave, "wavelength", "air"))
    with pytest.raises(InputError, match=f"reach from {wave[0]:.5g} to .*axis .*fluxes, errors"):
        nl.denoise(spectra, redshift=0.0)

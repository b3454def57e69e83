"""Two velocity components: who is flagged, what is measured, what stays as it was."""

from __future__ import annotations

import warnings
from dataclasses import replace

import jax
import numpy as np
import pytest

from nebulines.cubes.measure import fit
from nebulines.demo.data import find_cube
from nebulines.errors import NebulinesError, UsageError
from nebulines.fitting.column_names import map_names, parse
from nebulines.fitting.columns import kinematic_suffix
from nebulines.fitting.config import FitConfig
from nebulines.fitting.result import Result
from nebulines.fitting.small_solve import inverse, solve
from nebulines.io import read
from nebulines.lines import load_catalogue
from nebulines.models import line_positions, line_spectrum, line_spread_width
from nebulines.spectra import Flag
from nebulines.synthetic import simulate

LINES = ("NII6548", "HALPHA6563", "NII6583")
MUSE = {"band": (6350.0, 6800.0), "lines": LINES}
SN3 = {"resolution": 5000.0, "lines": LINES}


def two_components(instrument, n, *, apart, broadening, share, snr, seed=1, **options):
    """Mock spectra of two components, the second ``apart`` km/s off with ``share`` of the flux."""
    truth, spectra = simulate(
        instrument, n, seed, snr=(snr, snr), velocity=(-100.0, 100.0),
        broadening=(broadening, broadening), **options,
    )  # fmt: skip
    lines = load_catalogue().select(LINES)
    axis = spectra.axis
    rest = lines.wavelength(axis.medium)
    extra = line_spectrum(
        axis.values,
        rest,
        velocity_kms=np.asarray(truth["velocity"]) + apart,
        broadening_kms=np.full(n, broadening),
        fluxes=share * np.stack([np.asarray(truth[f"{name}_flux"]) for name in LINES], axis=1),
        spread_width=line_spread_width(
            axis.kind, spectra.line_spread, line_positions(axis.kind, rest, 0.0)
        ),
        spread_shape=spectra.line_spread.shape,
        kind=axis.kind,
    )
    return truth, replace(spectra, flux=spectra.flux + np.asarray(extra, np.float32))


def flagged(result, flag=Flag.SECOND_COMPONENT):
    return (result["flags"] & flag) != 0


@pytest.fixture(scope="module")
def pairs():
    """Two components 300 km/s apart (about 2 FWHM) seen by MUSE at S/N 30."""
    return two_components("muse", 200, apart=300.0, broadening=40.0, share=0.6, snr=30.0, **MUSE)


@pytest.fixture(scope="module")
def fitted(pairs):
    return fit(pairs[1], components=2, lines=LINES)


@pytest.mark.parametrize("snr", [(5.0, 30.0), (300.0, 1000.0)])
@pytest.mark.parametrize(("instrument", "options"), [("muse", MUSE), ("sitelle-sn3", SN3)])
def test_one_component_is_not_flagged(instrument, options, snr):
    _, spectra = simulate(instrument, 500, 4, snr=snr, **options)
    result = fit(spectra, lines=LINES)
    assert flagged(result).mean() < 0.025  # 1.6 % of MUSE's at S/N 5 to 30
    assert flagged(result, Flag.OUTLIER_CHANNEL).mean() < 0.01


@pytest.mark.parametrize(
    ("instrument", "options", "apart", "broadening"),
    [("muse", MUSE, 200.0, 40.0), ("muse", MUSE, 400.0, 40.0), ("sitelle-sn3", SN3, 120.0, 20.0)],
)
def test_two_components_are_flagged(instrument, options, apart, broadening):
    _, spectra = two_components(
        instrument, 200, apart=apart, broadening=broadening, share=0.6, snr=50.0, **options
    )
    result = fit(spectra, lines=LINES)
    assert flagged(result).mean() > 0.85


def test_the_filter_bank_flags_as_the_direct_path_does(sn3):
    _, _, single = sn3
    assert "filter bank" in single.meta["FITPATH"]
    assert flagged(single).mean() < 0.02
    options = {"apart": 120.0, "broadening": 20.0, "share": 0.6, "snr": 25.0, **SN3}
    _, spectra = two_components("sitelle-sn3", 2000, **options)
    by_bank = fit(spectra, lines=LINES, keep_model=False)
    directly = fit(spectra[:200], lines=LINES)
    assert directly.meta["FITPATH"] == "direct"
    assert np.mean(flagged(by_bank)[:200] == flagged(directly)) > 0.95
    assert flagged(by_bank).mean() > 0.9


def test_a_hot_channel_is_no_component():
    _, spectra = simulate("muse", 100, 2, snr=(40.0, 40.0), velocity=(0.0, 0.0), **MUSE)
    flux = spectra.flux.copy()
    wing = np.argmin(np.abs(spectra.axis.values - 6562.8)) + 4
    flux[:, wing] += 25.0 * np.sqrt(spectra.variance[:, wing])
    result = fit(replace(spectra, flux=flux), lines=LINES)
    assert flagged(result, Flag.OUTLIER_CHANNEL).mean() > 0.95
    assert not flagged(result).any()


def test_kinematics_and_fluxes_of_both_components(pairs, fitted):
    truth = pairs[0]
    for suffix, offset, share in (("", 0.0, 1.0), ("_2", 300.0, 0.6)):
        error = fitted[f"velocity{suffix}"] - (truth["velocity"] + offset)
        pull = error / fitted[f"velocity{suffix}_err"]
        assert abs(np.median(error)) < 1.0
        assert 0.58 < np.mean(np.abs(pull) < 1.0) < 0.78
        flux = fitted[f"HALPHA6563{suffix}_flux"] / (share * truth["HALPHA6563_flux"])
        assert abs(np.median(flux) - 1.0) < 0.02
    assert not flagged(fitted, Flag.NOT_CONVERGED).any()


def test_the_brighter_component_comes_first_and_has_all_columns(fitted):
    assert np.all(fitted["HALPHA6563_flux"] >= fitted["HALPHA6563_2_flux"])
    assert np.all(fitted["n_components"] == 2)
    single = [name for name in fitted if parse(name).component == 1 and parse(name).line]
    for name in single:
        if not name.startswith("ratio_"):
            assert name.replace(parse(name).line, parse(name).line + "_2") in fitted
    for name in ("velocity_2", "velocity_2_err", "broadening_2", "broadening_2_err"):
        assert np.isfinite(fitted[name]).all()


def test_auto_keeps_two_only_where_the_data_ask(pairs):
    _, double = pairs
    _, alone = simulate("muse", 200, 7, snr=(5.0, 60.0), **MUSE)
    first, second = (fit(s, components="auto", lines=LINES) for s in (double, alone))
    assert (first["n_components"] == 2).mean() > 0.9
    assert (second["n_components"] == 1).all()
    assert np.isnan(second["velocity_2"]).all()
    assert list(first) == list(second)


def test_one_component_is_measured_as_before(pairs):
    _, alone = simulate("muse", 50, 8, snr=(10.0, 60.0), **MUSE)
    one, auto = (fit(alone, components=k, lines=LINES, method="fit") for k in (1, "auto"))
    for name in one:
        np.testing.assert_array_equal(one[name], auto[name], err_msg=name)
    np.testing.assert_array_equal(one.model, auto.model)


def test_model_of_two_components_leaves_noise(pairs, fitted):
    _, spectra = pairs
    residual = (spectra.flux - fitted.model) / np.sqrt(spectra.variance)
    n_parameters = 2 * (2 + len(LINES)) + 2
    freedom = np.isfinite(residual).sum(axis=1) - n_parameters
    reduced = np.nansum(residual**2, axis=1) / freedom
    np.testing.assert_allclose(np.mean(reduced), 1.0, atol=0.05)
    np.testing.assert_allclose(fitted["chi2"], reduced, rtol=1e-3)


def test_names_survive_tables_and_maps(fitted, tmp_path):
    path = tmp_path / "two.ecsv"
    fitted.write(path)
    back = Result.read(path)
    np.testing.assert_allclose(back["NII6583_2_flux"], fitted["NII6583_2_flux"], rtol=1e-6)
    waves = {"HALPHA6563": 6562.80}
    names = map_names(["velocity", "velocity_2", "HALPHA6563_flux", "HALPHA6563_2_flux"], waves)
    assert names["HA6562_2_VEL"] == "velocity_2"
    assert names["HA6562_2_FLUX"] == "HALPHA6563_2_flux"
    assert parse("velocity_2_group3_err")[1:] == (2, "velocity", True, 3)


def test_names_of_groups_of_tied_lines():
    suffixes = [kinematic_suffix(group, 2) for group in range(4)]
    assert suffixes == ["", "_group2", "_2", "_2_group2"]
    assert [parse(f"velocity{s}")[1:] for s in suffixes[2:]] == [
        (2, "velocity", False, 1),
        (2, "velocity", False, 2),
    ]


def test_other_counts_are_refused():
    with pytest.raises(UsageError, match="1, 2 or 'auto'"):
        FitConfig(components=3)


def test_large_systems_agree_with_lapack():
    root = np.random.default_rng(0).normal(size=(6, 14, 17))
    matrix = root @ root.transpose(0, 2, 1)
    rhs = np.random.default_rng(1).normal(size=(6, 14, 2))
    with jax.enable_x64(True):
        np.testing.assert_allclose(solve(matrix, rhs), np.linalg.solve(matrix, rhs), rtol=1e-8)
        np.testing.assert_allclose(inverse(matrix), np.linalg.inv(matrix), rtol=1e-7, atol=1e-12)


def test_the_double_patch_of_abell_478_is_flagged_and_its_cosmic_ray_is_not():
    try:
        cube = read(find_cube())
    except NebulinesError as error:
        pytest.skip(str(error))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch = fit(cube, redshift=0.0881)
    double = flagged(patch).reshape(cube.shape[:2])
    outlier = flagged(patch, Flag.OUTLIER_CHANNEL).reshape(cube.shape[:2])
    assert double[29:33, 9:14].mean() > 0.9
    assert outlier[14, 22:25].all()
    assert not double[14, 23:25].any()

"""Bad input never raises (but for the documented errors), never warns, and never leaves a NaN
without a flag on its row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nebulines as nl
from nebulines.errors import InputError, UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import fit_block, resolve
from nebulines.instruments.line_spread import LineSpread
from nebulines.spectra import Flag, Spectra
from nebulines.spectral_axis import SpectralAxis

PAIR = ("HALPHA6563", "NII6583")
ROWS = 12
FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

ODD = st.sampled_from([0.0, np.nan, np.inf, -np.inf, -1.0, 1e-38, 1e-300, 1e300, 3e38, 1e-17, 1e6])


def check(result, n=ROWS):
    """The promise: rows in order, NaN only under a flag, errors and limits that are none."""
    assert len(result) == n
    flags = result["flags"]
    for name in result:
        values = result[name]
        if values.dtype.kind != "f" or name == "redshift":  # as it came
            continue
        assert not np.any(np.isinf(values)), name
        lost = np.isnan(values)
        assert np.all(flags[lost] != 0), (name, flags[lost])
        if name.endswith("_err"):
            assert np.all(values[~lost] >= 0), name
    empty = (flags & Flag.NO_DATA) != 0
    assert np.all(np.isnan(result["velocity"][empty]))
    assert not np.any(flags[empty] & (Flag.AT_BOUND | Flag.NOT_CONVERGED | Flag.POOR_FIT))
    assert np.all(np.isfinite(result["velocity"][~empty]))


def fit(spectra, **options):
    return nl.fit(spectra, **{"lines": PAIR, **options})


@pytest.fixture(scope="module")
def good(pair_of_lines):
    return pair_of_lines(n=ROWS, seed=20).spectra


@FEW
@given(
    data=st.lists(
        st.tuples(
            st.sampled_from(["flux", "variance"]),
            st.integers(0, ROWS - 1),
            st.sampled_from([slice(None), slice(0, 1), slice(90, 101), slice(60, 140)]),
            ODD,
        ),
        min_size=1,
        max_size=6,
    ),
    masked=st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, 200)), max_size=4),
)  # fmt: skip
def test_odd_numbers_anywhere(good, data, masked):
    arrays = {"flux": good.flux.copy(), "variance": good.variance.copy()}
    for name, row, channels, value in data:
        arrays[name][row, channels] = value
    mask = np.zeros(good.flux.shape, bool)
    for row, channel in masked:
        mask[row, : channel + 1] = True
    result = fit(replace(good, **arrays, mask=mask))
    check(result)
    touched = {row for _, row, _, _ in data} | {row for row, _ in masked}
    clean = [row for row in range(ROWS) if row not in touched]
    assert np.all(result["flags"][clean] == 0)


def twelve(*values):
    return st.lists(st.sampled_from(values), min_size=ROWS, max_size=ROWS)


@FEW
@given(
    redshift=twelve(0.0, np.nan, np.inf, -5.0, 1e9, 0.002),
    scale=twelve(1.0, np.nan, 0.0, -1.0, np.inf, 1.002),
)
def test_rows_without_a_usable_redshift_or_axis(good, redshift, scale):
    axis = replace(good.axis, scale=np.array(scale))
    result = fit(replace(good, redshift=np.array(redshift), axis=axis))
    check(result)
    bad_redshift = ~(np.isfinite(redshift) & (np.abs(redshift) < 1))
    flagged = (result["flags"] & Flag.BAD_REDSHIFT) != 0
    np.testing.assert_array_equal(flagged, bad_redshift)
    bad_scale = ~(np.isfinite(scale) & (np.array(scale) > 0))
    assert np.all(result["flags"][bad_redshift | bad_scale] & Flag.NO_DATA)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_without_a_usable_line_spread(good, value):
    resolution = np.full(ROWS, 3000.0)
    resolution[3] = value
    result = fit(replace(good, line_spread=LineSpread("gaussian", resolution=resolution)))
    check(result)
    assert result["flags"][3] != 0
    others = np.arange(ROWS) != 3
    assert np.all(result["flags"][others] == 0)


CONSTANT = {
    "zeros": (0.0, 1.0),
    "ones": (1.0, 1.0),
    "huge": (1e30, 1e50),
    "tiny": (1e-30, 1e-62),
    "huge, precise": (1e30, 1e-10),
}


@pytest.mark.parametrize("noise", ["file", "estimate"])
@pytest.mark.parametrize("case", CONSTANT)
def test_constant_spectra(good, case, noise):
    level, variance = CONSTANT[case]
    flat = np.full(good.flux.shape, level)
    result = fit(replace(good, flux=flat, variance=flat * 0 + variance), noise=noise)
    check(result)
    assert np.all(result["flags"] & (Flag.LOW_SNR | Flag.NO_DATA))


def test_all_masked(good):
    for spectra in (
        replace(good, mask=np.ones(good.flux.shape, bool)),
        replace(good, flux=np.full(good.flux.shape, np.nan)),
        replace(good, variance=np.zeros(good.flux.shape)),
        replace(good, variance=np.full(good.flux.shape, np.inf)),
    ):
        result = fit(spectra)
        check(result)
        assert np.all(result["flags"] & Flag.NO_DATA)


def test_enormous_dynamic_range(good):
    flux = good.flux.copy()
    flux[0, 100] = 1e30  # a cosmic ray
    flux[1] *= 1e30
    variance = good.variance.copy()
    variance[1] *= 1e60
    variance[2, ::2] = 1e30  # every other channel as good as masked
    variance[3, 95:] = 1e-30
    result = fit(replace(good, flux=flux, variance=variance))
    check(result)
    assert np.all(result["flags"][4:] == 0)
    same = fit(good)
    # a monstrous channel is no measurement; the others are what they were
    assert abs(result["velocity"][0] - same["velocity"][0]) < 2 * result["velocity_err"][0]
    np.testing.assert_allclose(result["velocity"][1], same["velocity"][1], atol=0.1)
    assert abs(result["velocity"][2] - same["velocity"][2]) < 6 * result["velocity_err"][2]


def test_a_hot_channel_is_flagged(good):
    flux = good.flux.copy()
    flux[:6, 118] += 1.0
    result = fit(replace(good, flux=flux))
    check(result)
    hot = (result["flags"] & Flag.OUTLIER_CHANNEL) != 0
    another = (result["flags"] & Flag.SECOND_COMPONENT) != 0  # where noise in the other line joins
    np.testing.assert_array_equal(hot | another, np.arange(ROWS) < 6)
    assert hot.sum() >= 5


@pytest.mark.parametrize("m", [1, 2])
def test_hardly_any_channel(m):
    axis = SpectralAxis(6562.0 + np.arange(m), "wavelength", "air")
    flux = np.ones((3, m))
    flux[0, 0] = np.nan
    for spread in (LineSpread("gaussian", resolution=3000.0), None):
        spectra = Spectra(flux, axis, np.ones((3, m)), line_spread=spread)
        check(nl.fit(spectra, lines=("HALPHA6563",)), 3)
    with pytest.raises(UsageError, match="redshift"):
        nl.fit(spectra, redshift="auto")


def test_lines_at_and_beyond_the_edge(good):
    """H-alpha at the upper edge in the first rows, both lines far outside in the others; no
    velocity in the range brings [N II] 6583 in."""
    axis = SpectralAxis(np.linspace(6363.0, 6563.0, 201), "wavelength", "air")
    redshift = np.where(np.arange(ROWS) < 6, 0.0, 0.5)
    result = fit(replace(good, axis=axis, redshift=redshift), velocity_range=(-600.0, 600.0))
    check(result)
    assert np.all(result["flags"] & Flag.LINE_OUTSIDE_BAND)
    assert np.all(np.isnan(result["NII6583_flux"]))
    assert np.all(result["flags"][6:] & Flag.NO_DATA)


def test_an_empty_set(good):
    with pytest.raises(InputError, match="no spectrum"):
        fit(good[:0])
    with pytest.raises(InputError, match="0 rows"):
        resolve(good[:0], FitConfig(redshift="auto"))


@pytest.mark.parametrize(("low", "high"), [(-3e5, 7e5), (50.0, 50.001)])
def test_any_range_of_velocity(good, low, high):
    config = FitConfig(lines=PAIR, velocity_range=(low, high))
    found = fit_block(good[:2], resolve(good[:2], config)).columns
    inside = np.isfinite(found["velocity"])
    assert np.all(found["velocity"][inside] >= low - 0.1)
    assert np.all(found["velocity"][inside] <= high + 0.1)
    assert np.all(found["flags"][~inside] != 0)

"""Arrays in a page come back as they were, to half of their step."""

import numpy as np
import pytest

from nebulines.errors import InputError
from nebulines.explorer.compact import compact
from nebulines.explorer.pack import Packed, pack, quantise, quantise_rows, unpack, unpack_rows


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32])
def test_numbers_come_back_exactly(kind):
    values = np.random.default_rng(0).uniform(0, 250, (7, 5)).astype(kind)
    assert np.array_equal(unpack(pack(values)), values)
    assert unpack(pack(values)).shape == (7, 5)


def test_float32_keeps_what_is_missing():
    values = np.array([1.5, np.nan, -np.inf], np.float32)
    assert np.array_equal(unpack(pack(values)), values, equal_nan=True)


def test_other_types_are_refused():
    with pytest.raises(InputError, match="a page stores u1, i2, i4, f4, not float64"):
        pack(np.zeros(3))


@pytest.mark.parametrize("asinh", [False, True])
def test_quantised_numbers_are_within_half_a_step(asinh):
    values = np.sinh(np.random.default_rng(1).uniform(-3, 6, 4000))
    values[::100] = np.nan
    packed = quantise(values, asinh=asinh)
    found = unpack(packed)
    scale = (
        (np.arcsinh if asinh else np.asarray)(values),
        (np.arcsinh if asinh else np.asarray)(found),
    )
    assert np.nanmax(np.abs(scale[0] - scale[1])) <= 0.501 * packed.spec["scale"]
    assert np.array_equal(np.isnan(found), np.isnan(values))
    # int16 keeps small widths to three digits on an asinh scale, and not on a linear one
    small = np.abs(values) < 0.5
    assert (np.abs(found - values)[small].max() < 2e-4) == asinh


def test_a_step_too_fine_is_refused():
    with pytest.raises(InputError, match="too wide for steps"):
        quantise([0.0, 1e6], step=0.1)


def test_constant_and_empty_arrays():
    assert np.allclose(unpack(quantise(np.full(5, 3.25))), 3.25)
    assert np.isnan(unpack(quantise(np.full(5, np.nan)))).all()
    assert unpack(quantise(np.zeros((0, 2)))).shape == (0, 2)


def test_spectra_keep_a_tenth_of_their_noise():
    rng = np.random.default_rng(3)
    flux = 1e-17 * (50.0 + rng.normal(size=(20, 300)) * np.linspace(0.1, 30, 20)[:, None])
    flux[2] = np.nan
    flux[3, 5] = np.nan
    step = 1e-18 * np.linspace(0.1, 30, 20)
    found = unpack_rows(*quantise_rows(flux, step))
    assert np.array_equal(np.isnan(found), np.isnan(flux))
    error = np.nanmax(np.abs(found - flux)[[0, 1, *range(3, 20)]], axis=1)
    assert (error <= 0.51 * step[[0, 1, *range(3, 20)]]).all()


def test_a_cosmic_ray_coarsens_its_own_row_only():
    flux = np.random.default_rng(4).normal(size=(2, 200))
    flux[0, 10] = 1e6
    found = unpack_rows(*quantise_rows(flux, np.full(2, 0.1)))
    assert np.abs(found - flux)[0].max() < 1e6 / 65_000
    assert np.abs(found - flux)[1].max() < 0.051


def test_a_damaged_array_is_refused():
    good = pack(np.arange(10, dtype=np.int16))
    for text in (good.text[:-8], "not base64 !"):
        with pytest.raises(InputError, match="damaged"):
            unpack(Packed(good.spec, text))


def test_components_beat_the_mean_and_say_what_they_leave_out():
    rng = np.random.default_rng(5)
    truth = 1.0 + rng.normal(size=(500, 3)) @ rng.normal(size=(3, 120)) * 0.02
    flux = truth + 0.01 * rng.normal(size=truth.shape)
    small = compact(np.arange(120.0), iter([flux[:100], flux[100:]]), 3)
    rebuilt = np.stack([small.flux(i) for i in range(500)])
    assert np.std(rebuilt - truth) < 0.3 * np.std(flux - truth)
    assert small.loss == pytest.approx(0.01, rel=0.05)


def test_spectra_without_flux_have_no_level():
    flux = np.ones((4, 50))
    flux[1], flux[2, :25] = np.nan, np.nan
    small = compact(np.arange(50.0), [flux])
    assert np.isnan(small.level).tolist() == [False, True, False, False]
    assert np.allclose(small.flux(2), 1.0, atol=1e-6)
    with pytest.raises(InputError, match="nothing to show"):
        compact(np.arange(50.0), [np.zeros((3, 50))])

"""SITELLE's axis and line width against independent statements of the same physics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nebulines.errors import InputError
from nebulines.instruments import get_instrument, instrument_names
from nebulines.instruments.sitelle import (
    free_range_cm1,
    resolution,
    sinc_fwhm_cm1,
    wavenumber_axis,
)

SCANS = [name for name in instrument_names() if name.startswith("sitelle-")]
scans = st.fixed_dictionaries(
    {
        "n_steps": st.integers(2, 3000),
        "step_nm": st.floats(100.0, 6000.0),
        "order": st.integers(0, 20),
        "correction": st.floats(1.0, 1.1),
    }
)


def test_there_are_eight_bands():
    assert len(SCANS) == 8


@given(scans)
def test_axis_spans_one_folding_order(scan):
    axis = wavenumber_axis(**scan)
    n, order = scan["n_steps"], scan["order"]
    step = free_range_cm1(scan["step_nm"], scan["correction"]) / n
    assert axis.shape == (n,)
    np.testing.assert_allclose(np.diff(axis), step, rtol=1e-6)
    first = order * n + (order % 2)
    np.testing.assert_allclose(axis[0], first * step, rtol=1e-12)
    np.testing.assert_allclose(axis[-1], (first + n - 1) * step, rtol=1e-12)


@given(scans)
def test_axis_scales_with_the_correction(scan):
    one = wavenumber_axis(scan["n_steps"], scan["step_nm"], scan["order"])
    both = wavenumber_axis(
        scan["n_steps"], scan["step_nm"], scan["order"], np.array([1.0, scan["correction"]])
    )
    np.testing.assert_allclose(both, [one, one * scan["correction"]], rtol=1e-12)


@pytest.mark.parametrize(("order", "bin_of"), [(8, lambda k, n: k), (3, lambda k, n: n - 1 - k)])
def test_a_line_is_where_the_fourier_transform_puts_it(order, bin_of):
    # a monochromatic interferogram, sampled every step of optical path difference, over 2 n
    # steps so that each channel is one bin; the spectrum of an odd order comes out mirrored
    n, step_nm, channel = 500, 1680.0, 137
    axis = wavenumber_axis(n, step_nm, order)
    path_cm = step_nm * 1e-7 * np.arange(2 * n)
    power = np.abs(np.fft.rfft(np.cos(2 * np.pi * axis[channel] * path_cm)))
    assert np.argmax(power) == bin_of(channel, n)


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("correction", [1.02, 1.038, 1.06])
def test_the_filter_fits_in_the_folding_order(name, correction):
    instrument = get_instrument(name)
    low, high = instrument.axis_for(correction=correction).wavelength_range()
    assert low < instrument.band[0]
    assert instrument.band[1] < high


def test_width_is_that_of_the_transform_of_a_cut_interferogram():
    # real part of the transform from zero path difference to the end of the scan
    n, z, step_nm, order = 842, 168, 2943.0, 8
    fwhm = float(sinc_fwhm_cm1(n, z, step_nm))
    centre = 15000.0
    path = (np.arange(20 * (n - z)) + 0.5) / 20 * step_nm * 1e-7
    offset = np.array([0.0, 0.5 * fwhm])
    profile = np.cos(2 * np.pi * offset[:, None] * path).mean(axis=1)
    assert profile[1] / profile[0] == pytest.approx(0.5, abs=1e-5)
    assert centre / fwhm == pytest.approx(
        float(resolution(n, z, order, reference_cm1=centre, step_nm=step_nm))
    )


def test_published_resolutions():
    # (order + 1/2) (n - z) / 1.20671: the formula of the SITELLE data releases
    assert float(resolution(842, 168, 8)) == pytest.approx(8.5 * 674 / 1.20671, rel=1e-5)
    middle = 8.5 * float(free_range_cm1(2943.0, 1.04))
    same = resolution(842, 168, 8, reference_cm1=middle, step_nm=2943.0, correction=1.04)
    assert float(same) == pytest.approx(float(resolution(842, 168, 8)))


@pytest.mark.parametrize("name", SCANS)
def test_the_nominal_resolution_is_what_the_typical_scan_gives(name):
    instrument = get_instrument(name)
    spread = instrument.scan_line_spread()
    ours = 1e8 / instrument.reference_wavelength / float(spread.sinc_fwhm_cm1())
    assert ours == pytest.approx(instrument.resolution, rel=0.01)


def test_impossible_scans_are_refused():
    with pytest.raises(InputError, match="one step"):
        wavenumber_axis(0, 2943.0, 8)
    with pytest.raises(InputError, match="positive length"):
        wavenumber_axis(842, float("nan"), 8)
    with pytest.raises(InputError, match="order"):
        wavenumber_axis(842, 2943.0, -1)
    with pytest.raises(InputError, match="correction"):
        wavenumber_axis(842, 2943.0, 8, 0.0)
    with pytest.raises(InputError, match="within the scan"):
        sinc_fwhm_cm1(842, 842, 2943.0)
    with pytest.raises(InputError, match="apodization"):
        sinc_fwhm_cm1(842, 168, 2943.0, apodization=0.0)
    with pytest.raises(InputError, match="needs the step"):
        resolution(842, 168, 8, reference_cm1=15000.0)

"""Square bins: means, noise, spaxels left out, and axes that differ from spaxel to spaxel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nebulines.cubes.binning import bin_cube
from nebulines.cubes.grid import Grid
from nebulines.errors import UsageError
from nebulines.instruments import LineSpread
from nebulines.spectra import Cube, Spectra
from nebulines.spectra.cube import Block
from nebulines.spectral_axis import SpectralAxis


@settings(max_examples=40, deadline=None)
@given(
    ny=st.integers(1, 9),
    nx=st.integers(1, 9),
    width=st.integers(1, 5),
    size=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_every_spaxel_in_use_gets_the_value_of_its_bin(ny, nx, width, size, seed):
    use = np.random.default_rng(seed).random((ny, nx)) < 0.6
    use[0, 0] = True
    grid = Grid((ny, nx), width, use)
    cube = Cube((*grid.binned_shape, 3), lambda block: None)
    filled = np.full((ny, nx), -7)
    for block in cube.blocks(size):
        numbers = grid.bin_numbers(block)
        filled[grid.full(block)] = grid.image(block, numbers, -1)
    y, x = np.mgrid[:ny, :nx] // width
    assert np.array_equal(filled, np.where(use, y * grid.binned_shape[1] + x, -1))


def test_a_bin_is_the_mean_of_its_good_channels(make_cube, axis):
    rng = np.random.default_rng(4)
    data = rng.normal(10.0, 1.0, (4, 6, 12))
    variance = rng.uniform(0.5, 2.0, data.shape)
    data[0, 0, 3] = np.nan
    variance[1, 1, 5] = 0.0
    use = np.ones((4, 6), bool)
    use[2, 2] = False
    binned = bin_cube(make_cube(data, axis, variance=variance), Grid((4, 6), 2, use))
    assert binned.shape == (2, 3, 12)
    spectra = binned.read_block(Block(0, 2, 0, 3))
    good = np.isfinite(data) & (variance > 0) & use[:, :, None]
    for y in range(2):
        for x in range(3):
            part = (slice(2 * y, 2 * y + 2), slice(2 * x, 2 * x + 2))
            for channel in range(12):
                chosen = good[part][..., channel]
                row = 3 * y + x
                flux = data[part][..., channel][chosen]
                noise = variance[part][..., channel][chosen]
                assert spectra.flux[row, channel] == pytest.approx(flux.mean())
                assert spectra.variance[row, channel] == pytest.approx(
                    noise.sum() / chosen.sum() ** 2
                )


def test_a_channel_bad_in_all_spaxels_is_masked(make_cube, axis):
    data = np.ones((2, 2, 12))
    data[:, :, 7] = np.nan
    spectra = bin_cube(make_cube(data, axis), Grid((2, 2), 2))[0, 0]
    assert np.flatnonzero(spectra.mask[0]).tolist() == [7]


def test_spaxels_with_different_axes_meet_on_the_mean_axis(make_cube):
    """A line narrower than the step between the spaxels' axes keeps its place and width."""
    channels, n = 400, 16
    base = 14600.0 + 1.65 * np.arange(channels)
    scale = 1.0 + 3e-5 * np.arange(n)  # up to 6 km/s from one spaxel to the next
    centre, sigma = base[200] * scale.mean(), 2.5
    own = base * scale[:, None]
    data = 1.0 + 5.0 * np.exp(-0.5 * ((own - centre) / sigma) ** 2)
    axis = SpectralAxis(base, "wavenumber", "air", scale)
    spectra = bin_cube(make_cube(data.reshape(4, 4, channels), axis), Grid((4, 4), 4))[0, 0]
    assert spectra.axis.scale == pytest.approx(scale.mean())
    mean_axis = base * scale.mean()
    expected = 1.0 + 5.0 * np.exp(-0.5 * ((mean_axis - centre) / sigma) ** 2)
    inner = slice(12, -12)
    assert np.abs(spectra.flux[0] - expected)[inner].max() < 5e-3
    naive = data.mean(axis=0)
    assert np.abs(naive - expected).max() > 0.5


def test_line_spread_and_redshift_are_averaged(axis):
    spread = LineSpread("sinc", fwhm_cm1=np.array([2.0, 4.0, 6.0, 8.0]))

    def read(block: Block) -> Spectra:
        z = np.array([0.1, 0.1, 0.3, np.nan])
        return Spectra(np.ones((4, 12)), axis, line_spread=spread, redshift=z)

    spectra = bin_cube(Cube((2, 2, 12), read), Grid((2, 2), 2))[0, 0]
    assert spectra.line_spread.fwhm_cm1.tolist() == [5.0]
    assert spectra.redshift[0] == pytest.approx(0.5 / 3)


def test_a_grid_refuses_what_does_not_fit():
    with pytest.raises(UsageError, match="at least 1"):
        Grid((3, 3), 0)
    with pytest.raises(UsageError, match="the cube"):
        Grid((3, 3), 1, np.ones((2, 3), bool))

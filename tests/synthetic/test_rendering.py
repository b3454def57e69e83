"""Lines by windows and wings are the lines of the forward model."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.instruments import get_instrument
from nebulines.lines import load_catalogue
from nebulines.models import line_spectrum, line_spread_width
from nebulines.spectral_axis import SpectralAxis
from nebulines.synthetic.rendering import Kinematics, LineRenderer

N = 60


def cases():
    sn3, muse = get_instrument("sitelle-sn3"), get_instrument("muse")
    generator = np.random.default_rng(2)
    tilt = generator.uniform(1.0, 1.06, N)
    scaled = SpectralAxis(sn3.axis_for(correction=1.0).values, "wavenumber", "air", scale=tilt)
    high = generator.uniform(4800, 5000, N)
    yield "sn3", sn3.axis_for(), sn3.line_spread_at(high), 50.0
    yield "sn3 low resolution", sn3.axis_for(), sn3.line_spread_at(0.2 * high), 50.0
    yield "sn3 short scan", sn3.axis_for(n_steps=168), sn3.line_spread_at(0.2 * high), 300.0
    yield "sn3 broad", sn3.axis_for(), sn3.line_spread_at(high), 600.0
    yield "sn3 tilted", scaled, sn3.scan_line_spread(correction=tilt), 100.0
    yield "muse", muse.axis_for(), muse.line_spread, 300.0
    yield "desi", get_instrument("desi").axis_for(low=6400.0, high=6900.0), muse.line_spread, 200.0
    log = get_instrument("sdss").axis_for(low=6400.0, high=6900.0)
    yield "sdss", log, muse.line_spread, 200.0


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case[0])
def test_agrees_with_the_forward_model(case):
    _, axis, spread, broadest = case
    names = ["HALPHA6563", "NII6583", "NII6548", "SII6731"]
    catalogue = load_catalogue().select(names)
    generator = np.random.default_rng(1)
    lines = Kinematics(
        generator.uniform(-1000, 1000, N),
        np.concatenate([[0.0], generator.uniform(0, broadest, N - 1)]),
        generator.uniform(0.2, 1.0, (N, 4)),
    )
    flux, peaks = LineRenderer(axis, catalogue, spread).render(np.arange(N), lines)
    wavelengths = catalogue.wavelength(axis.medium)
    rest = wavelengths if axis.kind == "wavelength" else 1e8 / wavelengths
    expected = line_spectrum(
        axis.per_spectrum(N), wavelengths, velocity_kms=lines.velocity,
        broadening_kms=lines.broadening, fluxes=lines.fluxes,
        spread_width=line_spread_width(axis.kind, spread, rest),
        spread_shape=spread.shape, kind=axis.kind,
    )  # fmt: skip
    error = np.abs(flux - np.asarray(expected)).max(axis=1) / peaks.max(axis=1)
    assert error.max() < 5e-5


def test_few_sizes_are_compiled_and_rows_are_kept():
    sn3 = get_instrument("sitelle-sn3")
    catalogue = load_catalogue().select(["HALPHA6563"])
    renderer = LineRenderer(sn3.axis_for(), catalogue, sn3.line_spread_at(5000.0))
    lines = Kinematics(np.linspace(-100, 100, 9), np.full(9, 20.0), np.ones((9, 1)))
    whole, _ = renderer.render(np.arange(9), lines)
    part, _ = renderer.render(np.array([6, 2]), lines)
    np.testing.assert_allclose(part, whole[[6, 2]], atol=1e-6)

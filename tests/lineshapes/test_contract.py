"""One contract for every line shape: area, peak, symmetry, derivatives, limits, jit, vmap."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nebulines.lineshapes import (
    gaussian_kernel,
    gaussian_peak,
    gaussian_value,
    near_channels,
    sinc_kernel,
    sinc_value,
    sincgauss_kernel,
    sincgauss_peak,
    sincgauss_value,
)

# errors relative to each function's own maximum: value, first, second derivative
TOLERANCE = {"float32": (1.5e-6, 2e-6, 3e-6), "float64": (1e-11, 1e-11, 1e-11)}

# name -> kernel(offset, width, sigma), (width, sigma) pairs that cover the regimes
SHAPES = {
    "gaussian": (lambda x, w, s: gaussian_kernel(x, s), [(1.0, 0.01), (1.0, 1.0), (1.0, 40.0)]),
    "sinc": (lambda x, w, s: sinc_kernel(x, w), [(0.05, 0.0), (1.0, 0.0), (30.0, 0.0)]),
    "sincgauss": (
        sincgauss_kernel,
        [(2.5, s) for s in (0.0, 1e-6, 0.6, 2.4, 3.37, 3.4, 6.3, 48.0)],
    ),
}
CASES = [(name, *pair) for name, (_, pairs) in SHAPES.items() for pair in pairs]


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Every test in both precisions."""
    with jax.enable_x64(request.param == "float64"):
        yield np.dtype(request.param)


def exact(shape: str, x: float, width: float, sigma: float) -> list[float]:
    """P, P', P'' with 60 digits: the closed form in complex error functions, or the sinc."""
    mpmath.mp.dps = 60
    x, width, sigma = mpmath.mpf(x), mpmath.mpf(width), mpmath.mpf(sigma)

    def value(y):
        if shape == "gaussian":
            return mpmath.npdf(y, 0, sigma)
        big_x, b = mpmath.pi * y / width, mpmath.pi * sigma / width
        if b == 0:
            return mpmath.sincpi(y / width) / width
        half = [mpmath.erf((b + sign * 1j * big_x / b) / mpmath.sqrt(2)) for sign in (1, -1)]
        bell = mpmath.exp(-(big_x**2) / (2 * b**2)) * mpmath.sqrt(mpmath.pi / 2) / b
        return mpmath.re(bell * (half[0] + half[1]) / 2) / width

    step = mpmath.mpf(10) ** -9 * (sigma if shape == "gaussian" else width)
    left, centre, right = value(x - step), value(x), value(x + step)
    slopes = (right - left) / (2 * step), (right - 2 * centre + left) / step**2
    return [float(v) for v in (centre, *slopes)]


def scales(shape: str, width: float, sigma: float) -> np.ndarray:
    """Upper bounds, within a factor of two, of |P|, |P'|, |P''|."""
    reach = max(sigma, 0.0 if shape == "gaussian" else width / np.pi)
    peak = 0.5 / reach if shape != "gaussian" else 0.4 / reach
    return peak / reach ** np.arange(3) * [1.0, 0.5, 0.5]


@pytest.mark.parametrize(("shape", "width", "sigma"), CASES)
def test_matches_high_precision(shape, width, sigma, dtype):
    kernel = jitted(shape)[0]
    width, sigma = (float(dtype.type(v)) for v in (width, sigma))
    unit = sigma if shape == "gaussian" else width
    offsets = np.array([0, 0.013, 0.7, -2.3, 4.4, 4.5, 8.8, 9.2, 17.0, -60.0]) * unit
    if shape == "sincgauss":
        offsets = np.r_[offsets, np.array([1.0, 3.0]) * sigma]
    offsets = offsets.astype(dtype)
    got = kernel(offsets, dtype.type(width), dtype.type(sigma))
    truth = np.array([exact(shape, x, width, sigma) for x in offsets.tolist()]).T
    limits = scales(shape, width, sigma) * TOLERANCE[dtype.name]
    for values, expected, limit in zip(got, truth, limits, strict=True):
        assert values.dtype == dtype
        np.testing.assert_allclose(values, expected, rtol=0, atol=limit)


@pytest.mark.parametrize(("shape", "width", "sigma"), CASES)
def test_symmetry_and_peak(shape, width, sigma, dtype):
    kernel = jitted(shape)[0]
    offsets = (np.linspace(0.0, 30.0, 301) * max(width, sigma)).astype(dtype)
    right, left = (kernel(sign * offsets, width, sigma) for sign in (1, -1))
    for a, b, parity in zip(right, left, (1, -1, 1), strict=True):
        np.testing.assert_array_equal(a, parity * b)
    peak = gaussian_peak(sigma) if shape == "gaussian" else sincgauss_peak(width, sigma)
    np.testing.assert_allclose(right.value[0], peak, rtol=TOLERANCE[dtype.name][0])
    assert float(right.value.max()) == pytest.approx(float(peak), rel=3e-6)


@pytest.mark.parametrize(("shape", "width", "sigma"), CASES)
def test_unit_area(shape, width, sigma):
    """Sampled finer than the cut frequency, the sum over an infinite grid is the integral:
    on a grid of step w/2 the tails of the sinc sum to zero in pairs."""
    step = sigma / 4 if shape == "gaussian" else width / 2
    half = 4001
    x = step * np.arange(-half, half + 1)
    weights = np.r_[0.5, np.ones(2 * half - 1), 0.5]
    with jax.enable_x64(True):
        area = float(np.sum(weights * np.asarray(jitted(shape)[0](x, width, sigma).value)) * step)
    assert area == pytest.approx(1.0, abs=1e-6)


@lru_cache
def jitted(shape):
    """The kernel, and the first two autodiff derivatives of its value, compiled once."""
    kernel = SHAPES[shape][0]

    def value(*arguments):
        return kernel(*arguments).value

    derivatives = [jax.grad(value), jax.grad(jax.grad(value))]
    return jax.jit(kernel), *(jax.jit(jax.vmap(d, (0, None, None))) for d in derivatives)


@pytest.mark.parametrize(("shape", "width", "sigma"), [c for c in CASES if c[0] != "sinc"])
def test_derivatives_are_those_of_the_value(shape, width, sigma):
    with jax.enable_x64(True):
        x = np.linspace(-12.0, 12.0, 97) * max(width if shape != "gaussian" else 0.0, sigma)
        kernel, first, second = jitted(shape)
        analytic = kernel(x, width, sigma)
        limit = 1e-10 * scales(shape, width, sigma)
        np.testing.assert_allclose(analytic.first, first(x, width, sigma), rtol=0, atol=limit[1])
        np.testing.assert_allclose(analytic.second, second(x, width, sigma), rtol=0, atol=limit[2])


@pytest.mark.parametrize("sigma", [0.0, 0.3, 1.1, 3.4, 9.0])
def test_heat_equation(sigma):
    """dP/d(sigma^2) = P''/2, also at sigma = 0."""
    width = 2.5
    with jax.enable_x64(True):
        x = jnp.linspace(-30.0, 30.0, 241)

        def value(s2):
            return sincgauss_kernel(x, width, jnp.sqrt(s2)).value

        step = 1e-4
        low = max(sigma**2 - step, 0.0)
        numeric = (value(low + 2 * step) - value(low)) / (2 * step)
        middle = sincgauss_kernel(x, width, np.sqrt(low + step)).second / 2
        np.testing.assert_allclose(numeric, middle, rtol=0, atol=1e-7)


def test_limits(dtype):
    x = np.linspace(-40.0, 40.0, 801).astype(dtype)
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    pure = np.sinc(x.astype(float) / 2.5) / 2.5
    np.testing.assert_allclose(sincgauss_kernel(x, 2.5, 0.0).value, pure, atol=tolerance * 0.4)
    np.testing.assert_array_equal(sincgauss_value(x, 2.5, 0.0), sinc_value(x, 2.5))
    for a, b in zip(sincgauss_kernel(x, 2.5, 0.0), sinc_kernel(x, 2.5), strict=True):
        np.testing.assert_array_equal(a, b)
    for broad in (0.01, 1e-4, 1e-9):
        pair = sincgauss_kernel(x, broad, 3.0), gaussian_kernel(x, 3.0)
        for a, b in zip(*pair, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=2 * tolerance * float(np.abs(b).max()))


@pytest.mark.parametrize("broadest", [8.0, 60.0])
def test_along_an_axis_only_the_channels_around_the_line_need_all_terms(broadest):
    """Lines anywhere on the axis, at its ends and beyond them; narrow ones, and some broad."""
    rng = np.random.default_rng(7)
    centre = np.r_[rng.uniform(0, 400, 20), 0.0, 399.0, -30.0, 460.0][:, None]
    width = rng.uniform(0.6, 1.3, (24, 1)).astype(np.float32)
    sigma = (rng.uniform(0, broadest, (24, 1)) * width / np.pi).astype(np.float32)
    sigma[:3] = 0.0
    offset = (np.arange(400) - centre).astype(np.float32)
    near = near_channels(1.3, 400)
    assert 0 < near < 100
    whole = jitted("sincgauss")[0](offset, width, sigma)
    along = jax.jit(sincgauss_kernel, static_argnums=3)(offset, width, sigma, near)
    limits = scales("sincgauss", 0.6, 0.0) * 1e-7
    for a, b, limit in zip(whole, along, limits, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=limit)


@pytest.mark.parametrize("shape", SHAPES)
def test_jit_and_vmap_agree_with_an_eager_loop(shape):
    kernel = SHAPES[shape][0]
    rng = np.random.default_rng(4)
    x = rng.uniform(-40, 40, (3, 50)).astype(np.float32)
    width = rng.uniform(2, 3, (3, 1)).astype(np.float32)
    sigma = rng.uniform(0.1, 8, (3, 1)).astype(np.float32)
    with jax.disable_jit():
        loops = [kernel(*row) for row in zip(x, width, sigma, strict=True)]
    looped = [np.stack(part) for part in zip(*loops, strict=True)]
    limits = np.array(TOLERANCE["float32"]) * 0.5
    for other in (jax.jit(kernel)(x, width, sigma), jax.jit(jax.vmap(kernel))(x, width, sigma)):
        for a, b, limit in zip(looped, other, limits, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=limit)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    x=st.floats(0.0, 3e3, width=32),
    b=st.one_of(st.just(0.0), st.floats(-20, 3).map(lambda p: 10.0**p)),
    width=st.floats(1e-3, 1e3),
)
def test_finite_everywhere_with_finite_gradients(x, b, width):
    arguments = [jnp.float32(v) for v in (x * width / np.pi, width, b * width / np.pi)]
    assert all(np.isfinite(part) for part in _jitted_kernel(*arguments))
    for gradients in _jitted_gradients(*arguments):
        assert np.isfinite(np.array(gradients)).all()


_jitted_kernel = jax.jit(sincgauss_kernel)


@jax.jit
def _jitted_gradients(offset, width, sigma):
    of_kernel = jax.grad(lambda *a: sum(sincgauss_kernel(*a)), argnums=(0, 1, 2))
    of_value = jax.grad(sincgauss_value, argnums=(0, 1, 2))
    return of_kernel(offset, width, sigma), of_value(offset, width, sigma)


_value_gradients = jax.jit(jax.vmap(jax.grad(sincgauss_value, argnums=(0, 1, 2)), (0, None, None)))
_jitted_value = jax.jit(sincgauss_value)


@pytest.mark.parametrize("sigma", [0.0, 0.2, 1.3, 3.35, 12.0])
def test_value_gradients(sigma):
    """custom_jvp of the values against finite differences, in every argument."""
    with jax.enable_x64(True):
        x, step = np.array([0.0, 0.4, -3.0, 11.1, 40.0]), 1e-5
        found = _value_gradients(x, 2.5, sigma)
        for k in range(3):
            if k == 2 and sigma == 0.0:
                np.testing.assert_array_equal(found[k], 0.0)
                continue
            high, low = (
                _jitted_value(*(np.array([x, 0 * x + 2.5, 0 * x + sigma]) + sign * shift))
                for sign in (1, -1)
                for shift in [step * np.eye(3)[k][:, None]]
            )
            np.testing.assert_allclose(found[k], (high - low) / (2 * step), atol=1e-8)
        along = jax.grad(gaussian_value, argnums=(0, 1))(0.7, 1.3)
        plain = jax.grad(lambda *a: gaussian_kernel(*a).value, argnums=(0, 1))(0.7, 1.3)
        np.testing.assert_allclose(along, plain, rtol=1e-12)


def test_peak_is_smooth_where_its_series_ends(dtype):
    width = dtype.type(np.pi)
    sigma = np.linspace(0.0, 1.2, 241).astype(dtype)
    peak = np.asarray(sincgauss_peak(width, sigma))
    direct = np.asarray(sincgauss_kernel(np.zeros_like(sigma), width, sigma).value)
    np.testing.assert_allclose(peak, direct, rtol=TOLERANCE[dtype.name][0] * 2)
    slope = jax.grad(lambda s: sincgauss_peak(width, s))(dtype.type(0.0))
    assert float(slope) == 0.0

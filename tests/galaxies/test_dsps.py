"""Lines on DSPS galaxies: the example and the ten lines of the documentation."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example():
    """examples/paint_dsps.py; DSPS switches JAX to double precision, which is undone."""
    import jax

    before = jax.config.read("jax_enable_x64")
    pytest.importorskip("dsps")
    jax.config.update("jax_enable_x64", True)
    place = ROOT / "examples" / "paint_dsps.py"
    spec = importlib.util.spec_from_file_location("paint_dsps", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    jax.config.update("jax_enable_x64", before)


def test_younger_galaxies_have_stronger_lines(example):
    log_tau = np.log([0.7, 2.0, 8.0])
    halpha = [float(example.widths(example.Stars(one))[6]) for one in log_tau]
    assert halpha == sorted(halpha)
    assert halpha[2] > 3.0 * halpha[0]


def test_binned_templates_give_the_widths_of_the_whole_spectrum(example):
    galaxy = example.Stars(1.0)
    whole = example.PAINT(example.stars(galaxy, example.SSP).rest_sed)
    np.testing.assert_allclose(example.widths(galaxy), whole.ew, rtol=1e-9)


def test_weights_of_binned_templates_give_the_whole_spectrum(example):
    galaxy = example.Stars(0.4, -1.7)
    summed = example.stars(galaxy, example.SSP).rest_sed
    product = example.whole_sed(example.stars(galaxy), example.BINNED, example.SSP)
    np.testing.assert_allclose(product, summed, rtol=1e-12)


def test_lines_carry_their_luminosity(example):
    """The light added to L_nu, integrated over frequency, is the luminosity of the lines."""
    from nebulines.constants import SPEED_OF_LIGHT_KMS

    light = example.stars(example.Stars(2.0), example.SSP).rest_sed
    painted = example.PAINT(light)
    wave = np.asarray(example.SSP.ssp_wave)
    frequency = SPEED_OF_LIGHT_KMS * 1e13 / wave
    added = -np.trapezoid(np.asarray(painted.flux - light), frequency)
    assert added == pytest.approx(float(painted.line_flux.sum()), rel=1e-3)
    outside = (wave < 3330.0) | (wave > 7070.0)
    np.testing.assert_array_equal(painted.flux[outside], light[outside])


def test_gradient_from_history_to_spectrum_agrees_with_finite_differences(example):
    import jax
    import jax.numpy as jnp

    def total(vector):
        flux = example.spectrum(example.Stars(*vector))
        return jnp.log(jnp.sum(flux[900:1100] * jnp.linspace(0.0, 1.0, 200)))

    at = jnp.array([1.0, -1.9, 4.7])
    slope = jax.jit(jax.grad(total))(at)
    step = 1e-5
    for k in range(3):
        move = jnp.zeros(3).at[k].set(step)
        difference = (total(at + move) - total(at - move)) / (2.0 * step)
        assert float(slope[k]) == pytest.approx(float(difference), rel=1e-5, abs=1e-9)


def test_vectorised_over_equals_one_by_one(example):
    import jax
    import jax.numpy as jnp

    log_tau = jnp.log(jnp.array([1.0, 4.0]))
    many = jax.jit(jax.vmap(lambda one: example.spectrum(example.Stars(one))))(log_tau)
    for one, flux in zip(log_tau, many, strict=True):
        np.testing.assert_allclose(flux, example.spectrum(example.Stars(one)), rtol=1e-10)


def test_a_population_is_recovered_from_its_lines(example):
    import jax
    import jax.numpy as jnp

    truth = jnp.array([1.0, jnp.log(0.5)])
    observed = example.summary(example.drawn(truth, jax.random.key(99), 2000))
    found = example.recover(observed, n=400, steps=80)
    assert float(found[0]) == pytest.approx(1.0, abs=0.2)
    assert float(jnp.exp(found[1])) == pytest.approx(0.5, abs=0.15)


def test_the_ten_lines_of_the_documentation_run():
    pytest.importorskip("dsps")
    page = (ROOT / "docs" / "paint.md").read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "dsps" in b)
    lines = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 10
    code = block + "\nassert painted.flux.shape == ssp.ssp_wave.shape and painted.ew[6] > 1.0\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

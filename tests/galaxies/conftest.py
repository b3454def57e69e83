"""Stellar continua, a small network with random weights, and the published weights."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from nebulines.galaxies.widths.equivalent_widths import published_names

WEIGHTS = Path(__file__).parents[3] / "shared/data/desi_bgs_ew/khederlarian2024_weights.npz"
SHAPES = ((64, 11), (128, 64), (64, 128), (1, 64))


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def published_file() -> Path:
    if not WEIGHTS.exists():
        pytest.skip("the published weights are not on this machine")
    return WEIGHTS


@pytest.fixture(scope="session")
def random_arrays() -> dict[str, np.ndarray]:
    """Arrays named and shaped as the published weights, with random numbers."""
    rng = np.random.default_rng(5)
    arrays = {}
    for line in published_names():
        arrays[f"{line}_mu"] = rng.normal(0.0, 0.05, 11)
        arrays[f"{line}_sc"] = rng.uniform(0.1, 0.2, 11)
        for layer, shape in enumerate(SHAPES):
            scale = 1.0 / np.sqrt(shape[1])
            arrays[f"{line}_{layer}_0"] = rng.normal(0.0, scale, shape).astype(np.float32)
            arrays[f"{line}_{layer}_1"] = rng.normal(0.0, 0.1, shape[0]).astype(np.float32)
    return arrays


@pytest.fixture(scope="session")
def random_file(random_arrays, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.npz"
    np.savez(path, **random_arrays)
    return path


@pytest.fixture(scope="session")
def wavelength() -> np.ndarray:
    return np.arange(3300.0, 7100.0, 2.0)


@pytest.fixture(scope="session")
def continua(wavelength) -> np.ndarray:
    """Five continua from blue to red with a 4000 A break."""
    slope = np.linspace(-1.0, 1.0, 5)[:, None]
    step = 1.0 + 0.4 * np.tanh((wavelength - 4000.0) / 60.0)
    return ((wavelength / 5500.0) ** slope * (1.0 + (step - 1.0) * (slope + 1.5) / 3.0)) * 2.0

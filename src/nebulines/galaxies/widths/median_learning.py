"""The small trunk of medians learns those of the finished mixture, which know no noise.

While the mixture learns, the medians follow it (`nebulines.galaxies.widths.learning`); when it
stands still they come closer, at a price far below that of the likelihood.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

STEPS, BATCH, LEARNING_RATE = 8000, 2048, 2e-3
PASSES = 200
"""Through the galaxies at most, where these are few."""
_BLOCK = 5000


def with_learned_medians(
    network: Any, inputs: Any, *, steps: int | None = None, batch: int = BATCH, seed: int = 0
) -> Any:
    """The network with its stated medians taught by its mixture.

    Args:
        network: `EquivalentWidth` or `EquivalentWidthSpectrum` with a finished mixture.
        inputs: (n, k) of the training set.
        steps: of Adam, with a cosine schedule; None = 8000, or 200 passes through the galaxies.
        batch: galaxies in a step.
        seed: of the batches.

    Returns:
        The network; only ``median_layers`` differ.
    """
    inputs = _inputs_of_trunk(network, inputs)
    trunk = getattr(network, "trunk", network)
    wanted = _medians(trunk, inputs)
    steps = max(min(STEPS, PASSES * len(inputs) // batch), 1) if steps is None else steps
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, LEARNING_RATE, min(100, steps // 2), steps, 1e-3 * LEARNING_RATE
    )
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    layers = trunk.median_layers
    state = optimiser.init(eqx.filter(layers, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(trunk: Any, layers: Any, state: Any, x: Any, y: Any) -> tuple[Any, Any]:
        gradient = eqx.filter_grad(_distance)(layers, trunk, x, y)
        updates, state = optimiser.update(gradient, state)
        return eqx.apply_updates(layers, updates), state

    rng = np.random.default_rng([seed, len(inputs)])
    for _ in range(steps):
        rows = rng.integers(0, len(inputs), batch)
        layers, state = step(trunk, layers, state, inputs[rows], wanted[rows])
    return eqx.tree_at(lambda net: getattr(net, "trunk", net).median_layers, network, layers)


def _distance(layers: Any, trunk: Any, x: Any, wanted: Any) -> Array:
    """Mean absolute difference of asinh EW: galaxies that are few do not pull at the others."""
    ew = eqx.tree_at(lambda net: net.median_layers, trunk, layers).median(x)
    return jnp.mean(jnp.abs(jnp.arcsinh(ew) - wanted))


def _inputs_of_trunk(network: Any, inputs: Any) -> np.ndarray:
    """Colours, or the principal components of spectra."""
    inputs = np.asarray(inputs, np.float32)
    return np.asarray(network.components(inputs)) if hasattr(network, "trunk") else inputs


def _medians(trunk: Any, inputs: np.ndarray) -> np.ndarray:
    """Medians (n, 10) of asinh EW of the mixture, block by block."""
    middle = eqx.filter_jit(lambda net, x: net.predict(x).quantile(0.5))
    parts = [middle(trunk, inputs[i : i + _BLOCK]) for i in range(0, len(inputs), _BLOCK)]
    return np.concatenate([np.asarray(part) for part in parts])

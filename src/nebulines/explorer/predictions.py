"""What a network says of a population's colours: medians, and draws with noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.galaxies.widths.equivalent_widths import LINES


def predicted_widths(
    network: Any, colours: np.ndarray, *, seed: int, errors: np.ndarray | None
) -> dict[str, np.ndarray]:
    """What a network says of colours: medians, and draws with measurement noise added.

    Args:
        network: with ``predict``; without stated scatter there are no draws.
        colours: (n, 11) [dex].
        seed: of draws and noise.
        errors: (n, 10) of measured widths [Angstrom]; None adds no noise.
    """
    from nebulines.galaxies.widths.predictors import widths_of_colours

    good = np.isfinite(colours).all(axis=1)
    filled = np.where(good[:, None], colours, 0.0).astype(np.float32)
    median = np.where(good[:, None], widths_of_colours(network, filled)[0], np.nan)
    widths = network.predict(filled[:1])
    if widths.factor is None:
        return {"predicted": median}
    noisy = np.where(good[:, None], _drawn(network, filled, seed), np.nan)
    if errors is not None:
        noise = np.random.default_rng([seed, 7]).normal(size=noisy.shape)
        noisy = noisy + np.where(np.isfinite(errors), errors, 0.0) * noise
    return {"predicted": median, "noisy": noisy}


def _drawn(network: Any, colours: np.ndarray, seed: int) -> np.ndarray:
    """One draw of the widths of each galaxy (n, 10), in blocks of one size."""
    import equinox as eqx
    import jax

    n, block = len(colours), min(4096, len(colours))
    draw = eqx.filter_jit(lambda net, features, key: net.predict(features).draw(key))
    drawn = np.empty((n, len(LINES)), np.float32)
    for start in range(0, n, block):
        first = max(0, min(start + block, n) - block)
        part = colours[first : first + block]
        drawn[first : first + block] = draw(network, part, jax.random.key(seed + start))
    return drawn

"""How ``starnet`` learns: the mock SN3 spectra and the recipe of Rhea et al. 2020.

50 000 spectra in the SN3 filter (R 4800-5000, velocity +-200 km/s, broadening 0-50 km/s here
10-50, S/N 5-30), of which 70 % train, 20 % validate and 10 % test; at most 10 epochs in batches
of 8; mean square error. Where the paper leaves it open: AdamW without decay, a cosine of the
learning rate, and a last correction of the mean error (`centred`).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.starnet import BAND, StarNet, Variant, targets
from nebulines.spectra import Spectra
from nebulines.training.task import Task, pick

SHARES = (0.7, 0.2, 0.1)
"""Of the spectra that train, validate and test."""
EPOCHS = 10
BATCH = 8
LEARNING_RATE = 7e-4
"""The paper's batch and largest number of epochs; StarNet's learning rate."""


class Labelled(NamedTuple):
    """Spectra (n, channel) with their targets (n, 2)."""

    spectra: Any
    target: Any

    def rows(self, index: Any) -> Labelled:
        """A subset of the rows."""
        return Labelled(self.spectra[index], self.target[index])


def paper_spectra(n: int, seed: int, **options: Any) -> tuple[Any, Labelled]:
    """Mock spectra as in the paper, cut to its wavelengths.

    Args:
        n: number of spectra.
        seed: of the simulation.
        **options: of `nebulines.simulate` (``resolution``, ``n_steps`` ...).

    Returns:
        The truth table, and `Labelled` spectra.
    """
    from nebulines.synthetic import simulate

    truth, spectra = simulate("sitelle-sn3", n=n, seed=seed, **options)
    target = targets(jnp.asarray(truth["velocity"]), jnp.asarray(truth["broadening"]))
    return truth, Labelled(band_flux(spectra), np.asarray(target, np.float32))


def band_flux(spectra: Spectra) -> np.ndarray:
    """Flux (n, channel) float32 of the channels that the paper feeds."""
    wavelength = spectra.axis.wavelength()
    wavelength = wavelength if wavelength.ndim == 1 else wavelength[0]
    inside = (wavelength > BAND[0]) & (wavelength < BAND[1])
    return np.asarray(spectra.flux[:, inside], np.float32)


def starnet_task(training: Labelled, validation: Labelled, *, variant: Variant = "paper") -> Task:
    """The task of learning from labelled spectra.

    Args:
        training, validation: disjoint sets.
        variant: of the architecture.
    """
    channels = training.spectra.shape[1]
    steps = EPOCHS * len(training.spectra) // BATCH
    learning = {
        "steps": max(steps, 1),
        "batch": BATCH,
        "learning_rate": LEARNING_RATE,
        "weight_decay": 0.0,
        "validation": len(validation.spectra),
        "validate_every": max(steps // EPOCHS, 1),
    }
    return Task(
        "starnet",
        _build,
        partial(pick, training),
        square_error,
        learning,
        partial(pick, validation),
        {"channels": channels, "variant": variant},
        partial(centred, validation=validation),
    )


def split(labelled: Labelled, seed: int) -> tuple[Labelled, Labelled, Labelled]:
    """Training, validation and test sets in the shares of the paper."""
    n = len(labelled.spectra)
    order = np.random.default_rng([seed, 1]).permutation(n)
    ends = np.cumsum([round(share * n) for share in SHARES[:2]])
    first, second, third = np.split(order, ends)
    return labelled.rows(first), labelled.rows(second), labelled.rows(third)


def square_error(network: StarNet, batch: Labelled, key: Array | None = None) -> Array:
    """Mean square error of the two outputs in their own units."""
    return jnp.mean(jnp.square(network.raw(batch.spectra, key=key) - batch.target))


def absolute_error(network: StarNet, batch: Labelled, key: Array | None = None) -> Array:
    """Mean absolute error of the two outputs in their own units."""
    return jnp.mean(jnp.abs(network.raw(batch.spectra, key=key) - batch.target))


def centred(network: StarNet, validation: Labelled) -> StarNet:
    """The network without its mean error on the validation set.

    Dropout, which is off when the network is used, shifts what it gives: 5 km/s in broadening.
    The last biases take that back; nothing else is changed.
    """
    parts = [
        np.asarray(network.raw(jnp.asarray(validation.spectra[i : i + _ROWS])))
        for i in range(0, len(validation.spectra), _ROWS)
    ]
    shift = np.mean(np.concatenate(parts) - validation.target, axis=0)
    return eqx.tree_at(lambda net: net.dense[-1].bias, network, network.dense[-1].bias - shift)


_ROWS = 1024


def _build(key: Array, **size: Any) -> StarNet:
    return StarNet(key=key, **size)

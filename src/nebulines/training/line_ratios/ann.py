"""How ``line_ratio_ann`` learns: the recipe of Rhea et al. 2021.

50 000 objects, of which 70 % train, 20 % validate and 10 % test; Huber loss (delta 1) of arcsinh
of the ratios, plus a penalty on the sum of squares of the hidden layers' weights; Adam. The paper
trains in batches of four; here they are larger, for speed, the learning rate falls as a cosine,
and every batch has noise of its own, so that the network cannot learn noise by heart. At the end
the linear last layer is solved for (`last_layer`).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.line_ratios.ann import CHANNELS, RATIOS, LineRatioAnn
from nebulines.spectra import Spectra
from nebulines.training.line_ratios.last_layer import LAST_LAYER, with_solved_last_layer
from nebulines.training.line_ratios.spectra import (
    BANDS,
    BROADENING,
    RESOLUTION,
    RESOLUTION_RANGE,
    SNR,
    VELOCITY,
    Objects,
    paper_objects,
)
from nebulines.training.task import Task, pick

SHARES = (0.7, 0.2, 0.1)
L2 = 5e-4
EPOCHS = 22
BATCH = 128
LEARNING_RATE = 3e-4


class Labelled(NamedTuple):
    """What the network learns from.

    Attributes:
        spectra: (n, channel).
        target: (n, 9) arcsinh of the ratios.
        noise: (n, 3) 1-sigma of the noise that is yet to be added to each band.
    """

    spectra: Any
    target: Any
    noise: Any

    def rows(self, index: Any) -> Labelled:
        """A subset of the rows."""
        return Labelled(self.spectra[index], self.target[index], self.noise[index])


def labelled(objects: Objects, *, noisy: bool = True) -> Labelled:
    """What the network sees of objects, and what it should answer.

    Args:
        objects: from `paper_objects`.
        noisy: whether their spectra have their noise; where not, `with_noise` adds it.
    """
    target = np.arcsinh(true_ratios(objects.truth))
    sigma = np.stack([np.sqrt(band.variance[:, 0]) for band in objects.bands], axis=1)  # type: ignore[index]
    return Labelled(
        joined(objects.bands), target.astype(np.float32), (0.0 if noisy else 1.0) * sigma
    )


def with_noise(data: Labelled, key: Array, n: int) -> Labelled:
    """n examples drawn with a key, white noise added where it is missing."""
    drawn = pick(data, key, n)
    if not np.any(drawn.noise):
        return drawn
    seed = np.asarray(jax.random.key_data(jax.random.fold_in(key, 1))).tolist()
    noise = np.random.default_rng(seed).standard_normal(drawn.spectra.shape, np.float32)
    noise *= np.repeat(drawn.noise.astype(np.float32), CHANNELS, axis=1)
    return Labelled(drawn.spectra + noise, drawn.target, np.zeros_like(drawn.noise))


def joined(bands: tuple[Spectra, ...] | list[Spectra]) -> np.ndarray:
    """The spectra (n, 1231) of three bands, one after the other."""
    parts = [spectra.flux[:, :n] for spectra, n in zip(bands, CHANNELS, strict=True)]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def true_ratios(truth: dict[str, Any]) -> np.ndarray:
    """The nine ratios (n, 9) of fluxes ``NAME_flux``.

    Example:
        >>> from nebulines.training.line_ratios.spectra import paper_objects
        >>> true_ratios(paper_objects(2, 1).truth).shape
        (2, 9)
    """
    flux = {k.removesuffix("_flux"): v for k, v in truth.items() if k.endswith("_flux")}
    flux["SII"] = flux["SII6716"] + flux["SII6731"]
    flux["OII"] = flux["OII3726"] + flux["OII3729"]
    pairs = [ratio.split("/") for ratio in RATIOS]
    return np.stack([flux[top] / flux[bottom] for top, bottom in pairs], axis=1)


def split(data: Labelled, seed: int) -> tuple[Labelled, Labelled, Labelled]:
    """Training, validation and test sets in the shares of the paper."""
    n = len(data.spectra)
    order = np.random.default_rng([seed, 1]).permutation(n)
    ends = np.cumsum([round(share * n) for share in SHARES[:2]])
    first, second, third = np.split(order, ends)
    return data.rows(first), data.rows(second), data.rows(third)


def line_ratio_ann_task(
    training: Labelled, validation: Labelled, *, epochs: int = EPOCHS, **size: Any
) -> Task:
    """The task of learning from labelled spectra.

    Args:
        training, validation: disjoint sets.
        epochs: times that the training set is seen.
        **size: arguments of the network.
    """
    per_epoch = max(1, len(training.spectra) // BATCH)
    return Task(
        "line_ratio_ann",
        _build,
        partial(with_noise, training),
        loss,
        {
            "steps": epochs * per_epoch,
            "batch": BATCH,
            "learning_rate": LEARNING_RATE,
            "weight_decay": 0.0,
            "validation": min(len(validation.spectra), 4096),
            "validate_every": per_epoch,
        },
        partial(with_noise, validation),
        size,
        partial(with_solved_last_layer, data=training, noisy=with_noise),
        about={"data": _DATA, "trained_ranges": _RANGES, "last_layer": LAST_LAYER},
    )


_DATA = "mock spectra of SN1, SN2 and SN3 by the recipe of Rhea et al. 2021, section 2.1"
_RANGES = {
    "instruments": list(BANDS),
    "resolution": [[top - RESOLUTION_RANGE, top] for top in RESOLUTION.values()],
    "velocity_kms": list(VELOCITY),
    "broadening_kms": list(BROADENING),
    "snr": list(SNR),
}


def ann_task(seed: int, spectra: int, *, epochs: int = EPOCHS) -> Task:
    """The task with spectra simulated from a seed."""
    objects = paper_objects(spectra, seed, noise=False)
    training, validation, _ = split(labelled(objects, noisy=False), seed)
    return line_ratio_ann_task(training, validation, epochs=epochs)


def loss(network: LineRatioAnn, batch: Labelled, key: Array | None = None) -> Array:
    """Huber loss, mean over the members, with the penalty of their weights in training."""
    miss = network.raw(batch.spectra, key=key) - batch.target
    size = jnp.abs(miss)
    huber = jnp.mean(jnp.where(size <= 1.0, 0.5 * miss**2, size - 0.5), axis=(1, 2))
    if key is None:
        return jnp.mean(huber)
    penalty = sum(jnp.sum(weight**2, axis=(1, 2)) for weight in network.weight[:-1])
    return jnp.sum(huber + L2 * penalty)


def _build(key: Array, **size: Any) -> LineRatioAnn:
    return LineRatioAnn(key=key, **size)

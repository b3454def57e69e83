"""The recipe of Scourfield et al. 2023 for ``ae`` and ``vae`` (section 3.2).

Weighted mean square error of spectra of unit norm,

    L = 1/2 sum_k w_k (x'_k - y_k)^2,    w_k = 1 / (error_k^2 + 2e-6),

plus, for the variational one, D = -1/2 sum_j (1 + log s_j^2 - mu_j^2 - s_j^2) of the latent
distributions. Adam from 1e-4 in batches of 64; where the loss has not dropped by a
tenth in five epochs the rate is divided by ten, and after five more without the training ends.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from nebulines.errors import UsageError
from nebulines.networks.denoise.autoencoder import Autoencoder
from nebulines.networks.denoise.pca import PCA, fit_pca
from nebulines.training.config import TrainConfig
from nebulines.training.loop import Trained
from nebulines.training.task import Task, pick

SOFTENING = 2e-6
"""Added to the squared error of a pixel (Portillo et al. 2020)."""
EPOCHS = 200
PATIENCE = 5
"""Epochs without a gain of a tenth until the rate falls, and again until the end."""
LEARNING = {"batch": 64, "learning_rate": 1e-4, "patience": PATIENCE, "weight_decay": 0.0}
LATENT = (2, 4, 6, 10)
LAYERS: dict[str, dict[int, tuple[float, tuple[int, ...]]]] = {
    "ae": {
        2: (0.8, (900, 800, 400, 300)),
        4: (0.5, (900, 900, 500, 400)),
        6: (0.7, (1000, 900, 800, 800)),
        10: (0.9, (900, 800, 800, 600)),
    },
    "vae": {
        2: (0.8, (1000, 900, 600, 200)),
        4: (0.7, (1000, 1000, 700, 500)),
        6: (0.5, (800, 800, 700, 600)),
        10: (0.9, (900, 900, 600, 400)),
    },
}
"""Dropout and layers of the paper's Tables 4 and 5, by latent dimensions."""
DROPOUT = 0.1
"""Of the tasks. With the paper's .5 to .9 in every layer networks of its size stay at the mean
spectrum of the package's galaxies until the plateau rule ends the training."""


class Pairs(NamedTuple):
    """Noise-added spectra, the clean ones, and the weights of their pixels, each (n, channel)."""

    noisy: Any
    clean: Any
    weight: Any


def paper_loss(network: Autoencoder, batch: Pairs, key: Array | None = None) -> Array:
    """Mean loss of a batch; ``key`` turns dropout and the latent draws on."""
    keys = [None] * 3 if key is None else list(jax.random.split(key, 3))
    mean, log_variance = network.encode(batch.noisy, key=keys[0])
    latent, divergence = mean, jnp.zeros(len(mean))
    if log_variance is not None:
        variance = jnp.exp(log_variance)
        terms = 1.0 + log_variance - jnp.square(mean) - variance
        divergence = -0.5 * jnp.sum(terms, axis=-1)
        if keys[1] is not None:
            normal = jax.random.normal(keys[1], mean.shape)
            latent = mean + jnp.sqrt(variance) * normal
    found = network.decode(latent, key=keys[2])
    error = 0.5 * jnp.sum(batch.weight * jnp.square(found - batch.clean), axis=-1)
    return jnp.mean(error + divergence)


def pixel_weights(error: np.ndarray) -> np.ndarray:
    """Weights of pixels with these errors, of spectra of unit norm.

    Example:
        >>> pixel_weights(np.array([0.0])).tolist()
        [500000.0]
    """
    return 1.0 / (np.square(error) + SOFTENING)


def pca_task(latent: int, training: Pairs, validation: Pairs, **about: Any) -> Task:
    """Principal components of the noisy training spectra; "trained" in one step."""
    channels = training.noisy.shape[1]

    def fit(task: Task, config: TrainConfig, *, size: dict[str, Any], **_: Any) -> Trained:
        pca = fit_pca(np.asarray(training.noisy), {**task.size, **size}["latent"])
        error = float(np.mean(np.square(pca(validation.noisy) - validation.clean)))
        return Trained(pca, [{"step": 1, "seconds": 0.0, "validation": error}], error)

    def build(key: Array, **size: Any) -> PCA:
        return PCA(key=key, **size)

    size = {"latent": latent, "channels": channels}
    return Task(f"pca-{latent}", build, partial(pick, training), paper_loss, dict(LEARNING),
                size=size, recipe=fit, **about)  # fmt: skip


def autoencoder_task(
    kind: str, latent: int, training: Pairs, validation: Pairs, **about: Any
) -> Task:
    """The task ``ae`` or ``vae`` with the layers of the paper, and dropout of `DROPOUT`.

    Args:
        kind: ``ae`` or ``vae``.
        latent: dimensions; one of `LATENT` takes the paper's layers, others those of 6.
        training, validation: disjoint sets.
        **about: further fields of `Task`.
    """
    _, layers = LAYERS[kind].get(latent, LAYERS[kind][6])
    steps = EPOCHS * math.ceil(len(training.clean) / LEARNING["batch"])
    size = {
        "latent": latent,
        "layers": list(layers),
        "dropout": DROPOUT,
        "variational": kind == "vae",
        "channels": training.clean.shape[1],
        "unit": float(np.std(training.noisy - training.noisy.mean(axis=0))),
    }
    return Task(
        f"{kind}-{latent}",
        lambda key, **size: Autoencoder(key=key, **size),
        partial(pick, training),
        paper_loss,
        {"steps": steps, "validation": len(validation.clean), **LEARNING},
        partial(pick, validation),
        size,
        recipe=Recipe(training, validation),
        **about,
    )


@dataclass(frozen=True)
class Recipe:
    """Training epoch by epoch with the paper's rule of the learning rate."""

    training: Pairs
    validation: Pairs

    def __call__(
        self,
        task: Task,
        config: TrainConfig,
        *,
        size: dict[str, Any],
        resume: bool = False,
        progress: bool | None = None,
        **_: Any,
    ) -> Trained:
        """Train to the end."""
        if resume:
            raise UsageError(f"{task.name} follows the paper's recipe, which cannot be resumed")
        from nebulines.training.loop import progress_bar

        history, done = [], 0
        with progress_bar(config.steps, 0, progress) as bar:
            for learned, record in self.epochs(task, config, size):
                network = learned
                history.append(record)
                bar.update(record["step"] - done)
                done = record["step"]
        return Trained(network, history, min(row["validation"] for row in history))

    def epochs(
        self, task: Task, config: TrainConfig, size: dict[str, Any]
    ) -> Iterator[tuple[Autoencoder, dict[str, Any]]]:
        """The network after every epoch, which the next one takes away, and its record."""
        first, stream = jax.random.split(jax.random.key(config.seed))
        network = task.build(first, **{**task.size, **size})
        mean = jnp.asarray(self.training.noisy.mean(axis=0))
        network = eqx.tree_at(lambda network: network.centre, network, mean)
        learner = Learner.of(network, config)
        rule = Plateau(config.learning_rate, config.patience or PATIENCE)
        per_epoch = math.ceil(len(self.training.clean) / config.batch)
        began = time.perf_counter()
        for epoch in range(max(config.steps // per_epoch, 1)):
            key = jax.random.fold_in(stream, epoch)
            learner, loss = learner.epoch(self.training, key, rule.rate)
            judged, seconds = learner.judge(self.validation), time.perf_counter() - began
            record = {"step": (epoch + 1) * per_epoch, "loss": loss, "validation": judged}
            yield learner.network, {**record, "rate": rule.rate, "seconds": seconds}
            if not rule.goes_on(loss):
                return


class Plateau:
    """The learning rate, and whether training goes on.

    Example:
        >>> rule = Plateau(1e-4, patience=1)
        >>> rule.goes_on(1.0), rule.goes_on(0.95), rule.rate, rule.goes_on(0.95)
        (True, True, 1e-05, False)
    """

    def __init__(self, rate: float, patience: int) -> None:
        self.rate, self.patience = rate, patience
        self._reference, self._since, self._lowered = math.inf, 0, False

    def goes_on(self, loss: float) -> bool:
        """Take the loss of an epoch into account."""
        if loss <= 0.9 * self._reference:
            self._reference, self._since, self._lowered = loss, 0, False
            return True
        self._since += 1
        if self._since < self.patience:
            return True
        if self._lowered:
            return False
        self.rate, self._since, self._lowered = self.rate / 10.0, 0, True
        return True


class Learner(NamedTuple):
    """A network while it learns."""

    network: Autoencoder
    state: Any
    batch: int

    @classmethod
    def of(cls, network: Autoencoder, config: TrainConfig) -> Learner:
        """Before the first epoch."""
        return cls(network, _ADAM.init(eqx.filter(network, eqx.is_inexact_array)), config.batch)

    def epoch(self, training: Pairs, key: Array, rate: float) -> tuple[Learner, float]:
        """The learner after one pass over the training set, and its mean loss."""
        order = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
        rows = order.permutation(len(training.clean))
        network, state, losses = self.network, self.state, []
        speed = jnp.asarray(rate)
        for number, start in enumerate(range(0, len(rows) - self.batch + 1, self.batch)):
            batch = Pairs(*(part[rows[start : start + self.batch]] for part in training))
            given = _Given(batch, jax.random.fold_in(key, number), speed)
            network, state, loss = _step(given, network, state)
            losses.append(loss)
        return Learner(network, state, self.batch), float(np.mean([float(x) for x in losses]))

    def judge(self, validation: Pairs) -> float:
        """Loss on the validation set, without dropout."""
        return float(_judge(self.network, validation))


_ADAM = optax.scale_by_adam()


@eqx.filter_jit
def _judge(network: Autoencoder, validation: Pairs) -> Array:
    return paper_loss(network, validation)


class _Given(NamedTuple):
    """What a step works on: examples, random numbers, learning rate."""

    batch: Pairs
    key: Array
    rate: Array


@eqx.filter_jit(donate="all-except-first")
def _step(given: _Given, network: Autoencoder, state: Any) -> tuple[Autoencoder, Any, Array]:
    loss, gradient = eqx.filter_value_and_grad(paper_loss)(network, given.batch, given.key)
    updates, state = _ADAM.update(gradient, state)
    updates = jax.tree.map(lambda update: -given.rate * update, updates)
    return eqx.apply_updates(network, updates), state, loss


def latent_of(name: str, default: int = 6) -> int:
    """Latent dimensions in a name such as ``vae-4``.

    Raises:
        UsageError: something else than a whole number above 0.

    Example:
        >>> latent_of("vae-4"), latent_of("ae")
        (4, 6)
    """
    _, _, number = name.partition("-")
    if number and not (number.isdigit() and int(number) > 0):
        raise UsageError(f"{name}: expected a number of dimensions after the dash, such as vae-4")
    return int(number) if number else default

"""UMAP of colours or of a latent space, and a network that learns where it puts galaxies."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.embedding.continuum_map import EmbeddingMap, place, standardised_to
from nebulines.training.task import Task, pick

NEIGHBOURS = 30
"""Neighbours of UMAP's graph."""
LEAST_DISTANCE = 0.3
"""Least distance of neighbours on the plane (UMAP's ``min_dist``): room between points."""


def fit_umap(features: Any, *, seed: int = 0, neighbours: int = NEIGHBOURS) -> Any:
    """UMAP of standardised features; ``.embedding_`` (n, 2) is where it puts them.

    Args:
        features: (n, k) colours or latent variables, finite.
        seed: of UMAP.
        neighbours: of its graph.

    Returns:
        The fitted ``umap.UMAP``, whose ``transform`` takes features standardised alike.

    Raises:
        UsageError: umap-learn is not installed.
        InputError: fewer than 100 rows, or values that are not finite.
    """
    features = np.asarray(features, np.float32)
    if features.ndim != 2 or len(features) < 100 or not np.isfinite(features).all():
        raise InputError(
            f"UMAP needs 100 finite rows (n, k) or more, got {features.shape} with "
            f"{int((~np.isfinite(features)).sum())} values that are not finite"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its compiler, and that a seed means one thread
        umap = _umap()
        reducer = umap.UMAP(n_neighbors=neighbours, min_dist=LEAST_DISTANCE, random_state=seed)
        return reducer.fit(standardise(features, features))


def _umap() -> Any:
    try:
        import umap
    except ImportError:
        raise UsageError(
            "a new map needs the package umap-learn: pip install 'nebulines[explore]' (the map "
            "of continua that comes with nebulines does not)"
        ) from None
    return umap


def standardise(features: Any, reference: Any) -> np.ndarray:
    """Features with the mean and standard deviation of a reference set taken out.

    Example:
        >>> standardise([[3.0], [1.0]], [[3.0], [1.0]]).ravel().tolist()
        [1.0, -1.0]
    """
    reference = np.asarray(reference, np.float32)
    spread = np.maximum(reference.std(axis=0), 1e-6)
    return (np.asarray(features, np.float32) - reference.mean(axis=0)) / spread


def map_task(training: tuple[Any, Any], validation: tuple[Any, Any]) -> Task:
    """The task of learning a map from galaxies that UMAP has placed.

    Args:
        training, validation: disjoint sets of features (n, k) and coordinates (n, 2).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> galaxies = rng.normal(size=(200, 11)), rng.normal(size=(200, 2))
        >>> map_task(galaxies, galaxies).name
        'continuum_map'
    """
    features, placed = training

    def build(key: Array, **size: Any) -> EmbeddingMap:
        network = EmbeddingMap(key=key, inputs=np.shape(features)[1], **size)
        return standardised_to(network, features, placed)

    learning = {
        "steps": 6000,
        "batch": 1024,
        "learning_rate": 3e-3,
        "weight_decay": 0.0,
        "validation": len(validation[0]),
        "validate_every": 500,
    }
    return Task(
        "continuum_map",
        build,
        partial(pick, tuple(map(np.float32, training))),
        loss,
        learning,
        partial(pick, tuple(map(np.float32, validation))),
    )


def loss(network: EmbeddingMap, batch: tuple[Any, Any], key: Array | None = None) -> Array:
    """Mean squared distance in units of the plane's spread."""
    offset = (network(batch[0]) - batch[1]) / network.scale
    return jnp.mean(jnp.square(offset))


def explained(network: EmbeddingMap, features: Any, placed: Any) -> float:
    """Share of the variance of the coordinates that a map explains, R^2 = 1 - SS_res / SS_tot.

    Args:
        network: the map.
        features: (n, k) of galaxies that it never saw.
        placed: (n, 2) where UMAP puts them.

    Example:
        >>> import jax
        >>> network = EmbeddingMap(key=jax.random.key(0))
        >>> features = np.random.default_rng(0).normal(size=(50, 11))
        >>> explained(network, features, place(network, features))
        1.0
    """
    placed = np.asarray(placed, float)
    rest = np.square(place(network, features) - placed).sum()
    return float(1.0 - rest / np.square(placed - placed.mean(axis=0)).sum())


def distil(features: Any, placed: Any, *, seed: int = 0, steps: int = 3000) -> EmbeddingMap:
    """A map learned from galaxies that UMAP has placed; a tenth of them validates.

    Args:
        features: (n, k).
        placed: (n, 2).
        seed: of weights and batches.
        steps: of training.
    """
    from nebulines.training import TrainConfig, train

    n = len(features) // 10
    sets = [(np.asarray(features)[part], np.asarray(placed)[part])
            for part in (slice(n, None), slice(n))]  # fmt: skip
    task = map_task(*sets)
    config = TrainConfig(**{**task.learning, "steps": steps, "seed": seed})
    return train(task, config, progress=False).network

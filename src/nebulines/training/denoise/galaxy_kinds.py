"""Kinds of galaxies learned from clean spectra, by expectation and maximisation."""

from __future__ import annotations

from functools import partial
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from nebulines.errors import InputError
from nebulines.networks.denoise.galaxy_kinds import GalaxyKinds
from nebulines.training.config import TrainConfig
from nebulines.training.loop import Trained
from nebulines.training.task import Task, pick

_SPAN = 48
"""Principal axes in which kinds are told apart."""
_NOISE = 0.005
"""In a bin, of the spectra that are told apart."""
_ROUNDS = 25


def learn_kinds(
    spectra: np.ndarray, *, kinds: int = 2, ways: int = 12
) -> tuple[GalaxyKinds, float]:
    """The mixture, begun with as many galaxies in each kind, by their distance from the mean; and
    the mean log density of the spectra.

    Args:
        spectra: (n, 945) clean, of unit norm on the usual bins.
        kinds: C.
        ways: m.

    Raises:
        InputError: fewer spectra than twice the axes that kinds are told apart in.

    Source: expectation and maximisation, Dempster et al. 1977, J. R. Stat. Soc. B 39, 1.
    """
    if len(spectra) < 2 * _SPAN:
        raise InputError(f"kinds need {2 * _SPAN} spectra or more, got {len(spectra)}")
    spectra = np.asarray(spectra, np.float32)
    axes = np.linalg.eigh((spectra.T @ spectra).astype(float))[1][:, : -_SPAN - 1 : -1]
    along = spectra @ axes
    away = np.linalg.norm(along - along.mean(axis=0), axis=1)
    first = np.argsort(np.argsort(away)) * kinds // len(away)
    member = np.eye(kinds)[first]
    for _ in range(_ROUNDS):
        share, moments = _moments(along, member)
        log = _log_densities(along, share, moments)
        total = np.logaddexp.reduce(log, axis=1)
        member = np.exp(log - total[:, None])
    shapes = [_leading(moment, ways) @ axes.T for moment in moments]
    found = jnp.asarray(share, jnp.float32), jnp.asarray(np.stack(shapes), jnp.float32)
    blank = GalaxyKinds(kinds=kinds, ways=ways)
    learned = eqx.tree_at(lambda galaxies: (galaxies.share, galaxies.shapes), blank, found)
    return learned, float(total.mean())


def _moments(along: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Shares (C,) and second moments (d, d) of the kinds."""
    return member.mean(axis=0), [
        (along * weight[:, None]).T @ along / weight.sum() for weight in member.T
    ]


def _log_densities(along: np.ndarray, share: np.ndarray, moments: list[np.ndarray]) -> np.ndarray:
    """(n, C) of every kind, with its share."""
    found = []
    for part, moment in zip(share, moments, strict=True):
        lower = np.linalg.cholesky(moment + _NOISE**2 * np.eye(len(moment)))
        white = np.linalg.solve(lower, along.T)
        power = np.sum(np.square(white), axis=0)
        found.append(np.log(part) - 0.5 * power - np.log(np.diag(lower)).sum())
    return np.stack(found, axis=1)


def _leading(moment: np.ndarray, ways: int) -> np.ndarray:
    """(m, d) of which the products make up most of a second moment."""
    values, vectors = np.linalg.eigh(moment)
    return np.asarray((np.sqrt(np.maximum(values, 0.0)) * vectors)[:, : -ways - 1 : -1].T)


def kinds_task(spectra: np.ndarray, **about: Any) -> Task:
    """The task ``galaxy_kinds``: learned in one step."""

    def fit(task: Task, config: TrainConfig, *, size: dict[str, Any], **_: Any) -> Trained:
        found, density = learn_kinds(spectra, **{**task.size, **size})
        return Trained(found, [{"step": 1, "seconds": 0.0, "validation": -density}], -density)

    return Task("galaxy_kinds", GalaxyKinds, partial(pick, spectra), _no_loss,
                size={"kinds": 2, "ways": 12}, recipe=fit, **about)  # fmt: skip


def _no_loss(network: Any, batch: Any, key: Any) -> Any:
    return jnp.zeros(())

"""The network ``kinematics`` as a method to judge: its answers, and draws of its posterior."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from nebulines.evaluation.methods import Measured, from_columns
from nebulines.fitting.config import FitConfig
from nebulines.networks.weights import Pretrained
from nebulines.spectra import Spectra

_BLOCK = 65_536
_DRAW_BLOCK = 1024
_COLUMNS = ("velocity", "velocity_err", "broadening", "broadening_err", "flags")


class KinematicsMethod:
    """The network alone, with draws of its joint posterior.

    Args:
        network: with its card.
        config: lines, and the ranges of the flat prior.
        n_draws: from the posterior of a spectrum.
    """

    def __init__(self, network: Pretrained, config: FitConfig, *, n_draws: int = 199) -> None:
        self.network, self.config, self.n_draws = network, config, n_draws

    def __call__(self, spectra: Spectra) -> Measured:
        """Posterior means, errors and flags of n spectra."""
        from nebulines.cubes.network.estimate import estimate_block

        config = self._resolved(spectra)
        blocks = [
            estimate_block(spectra[rows], config, with_model=False, network=self.network)
            for rows in _slices(len(spectra), _BLOCK)
        ]
        return from_columns(
            {name: np.concatenate([b.columns[name] for b in blocks]) for name in _COLUMNS}
        )

    def draws(self, spectra: Spectra, *, seed: int = 0) -> np.ndarray:
        """Draws (n, m, 2) of velocity and broadening [km/s] from the posterior."""
        parts = []
        config = self._resolved(spectra)
        for rows in _slices(len(spectra), _DRAW_BLOCK):
            parts.append(self._draws(spectra[rows], config, seed=(seed, rows.start)))
        return np.concatenate(parts)

    def kinematics_only(self, spectra: Spectra) -> np.ndarray:
        """Velocity and broadening (n, 2) [km/s] without fluxes or flags: what the papers' network
        gives."""
        from nebulines.cubes.network.estimate import answers
        from nebulines.fitting.prepared import prepare

        config = self._resolved(spectra)
        parts = [
            answers(prepare(spectra[rows], config), self.network.network)
            for rows in _slices(len(spectra), _BLOCK)
        ]
        return np.concatenate([np.stack([p.offset, p.broadening], axis=1) for p in parts])

    def _resolved(self, spectra: Spectra) -> FitConfig:
        from nebulines.fitting.fit import resolve

        return resolve(spectra, self.config)

    def _draws(self, spectra: Spectra, config: FitConfig, *, seed: tuple[int, int]) -> np.ndarray:
        import jax

        from nebulines.cubes.network.input import NetworkInput
        from nebulines.fitting.prepared import prepare

        given = NetworkInput(prepare(spectra, config))
        windows = given.windows(np.arange(len(spectra)))
        key = jax.random.fold_in(jax.random.key(seed[0]), seed[1])
        shown = (windows, given.trials, given.ranges, given.shape)
        drawn = _compiled()(self.network.network, *shown, key, self.n_draws)
        offset, width = (np.asarray(part) for part in drawn)
        of_offset, of_width = given.stretch(offset)
        return np.stack([offset / of_offset, width / of_width], axis=-1)


@functools.cache
def _compiled() -> Any:
    """Draws (n, m) of offset and broadening [km/s along the axis]."""
    import equinox as eqx

    from nebulines.networks.kinematics.answer import read
    from nebulines.networks.kinematics.draws import draw

    @eqx.filter_jit
    def run(
        network: Any, windows: Any, trials: Any, ranges: Any, shape: Any, key: Any, n_draws: int
    ) -> tuple[Any, Any]:
        stack, mixture, box = read(network, windows, trials, ranges, shape)
        u, r = draw(mixture, box, key, n_draws)
        return stack.offset[:, None] + stack.scale[:, None] * u, stack.scale[:, None] * r

    return run


def _slices(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))

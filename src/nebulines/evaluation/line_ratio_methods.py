"""Methods that measure line ratios of objects in three bands, as the judge takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.evaluation.line_ratios import Estimate, RatioMethod
from nebulines.networks.line_ratios.ann import RATIOS
from nebulines.networks.line_ratios.space import coordinates
from nebulines.training.line_ratios.ann import joined, true_ratios
from nebulines.training.line_ratios.priors import PAPER
from nebulines.training.line_ratios.spectra import BROADENING, VELOCITY, Objects

_BATCH = 1024
_MARGIN_KMS = 100.0


def band_fits(objects: Objects) -> Estimate:
    """Least squares band by band, started at the truth, as the paper used ORB: each band has a
    velocity and a broadening of its own, all lines are free."""
    from nebulines.fitting.config import FitConfig
    from nebulines.fitting.fit import fit_block, resolve
    from nebulines.fitting.start import Start

    n = len(objects.bands[0])
    start = Start(
        objects.truth["velocity"], objects.truth["broadening"], np.full(n, 1e6), np.zeros(n)
    )
    flux: dict[str, np.ndarray] = {}
    for spectra in objects.bands:
        config = resolve(spectra, FitConfig())
        columns = fit_block(spectra, config, with_model=False, find=lambda _: start).columns
        flux |= {k: np.asarray(v, float) for k, v in columns.items() if k.endswith("_flux")}
    with np.errstate(divide="ignore", invalid="ignore"):
        return Estimate(true_ratios(flux))


def joint_fit(objects: Objects) -> Estimate:
    """Least squares of all bands at once, started at the truth, lines of fixed ratio tied."""
    from nebulines.fitting.config import FitConfig
    from nebulines.fitting.joint.direct import fit_jointly
    from nebulines.fitting.joint.fluxes import Measured, joint_fluxes
    from nebulines.fitting.joint.problem import joint_problem, resolve_bands
    from nebulines.fitting.start import Start

    plan = resolve_bands(objects.bands, FitConfig(amplitudes="tied"))
    problem = joint_problem(objects.bands, plan, with_model=False)
    n = problem.n_rows
    start = Start(
        objects.truth["velocity"], objects.truth["broadening"], np.full(n, 1e6), np.zeros(n)
    )
    measured = Measured(fit_jointly(problem, start), problem, plan, start)
    value = joint_fluxes(measured).value
    names = plan.config.lines or ()
    with np.errstate(divide="ignore", invalid="ignore"):
        return Estimate(true_ratios({f"{k}_flux": v for k, v in zip(names, value.T, strict=True)}))


class Ours:
    """The network ``line_ratios`` on fluxes at the kinematics of the network ``kinematics``.

    Args:
        prior: kind of nebulae that it is told of.
        weights: file of its weights; None = those shipped.
    """

    def __init__(self, prior: str = PAPER, weights: Path | None = None) -> None:
        from nebulines.networks.weights import load

        self.prior = prior
        self.pretrained = load("line_ratios" if weights is None else str(weights))
        if self.pretrained.card["architecture"] != "line_ratios":
            raise UsageError(f"{weights} does not hold weights of 'line_ratios'")

    def __call__(self, objects: Objects) -> Estimate:
        """Medians, errors and probability integral transforms."""
        return self.judged(self.fluxes(objects), objects)

    def fluxes(self, objects: Objects) -> Any:
        """Fluxes with covariance, `nebulines.cubes.network.line_fluxes.LineFluxes`."""
        from nebulines.cubes.network.line_fluxes import network_fluxes
        from nebulines.fitting.config import FitConfig
        from nebulines.fitting.joint.problem import resolve_bands

        low, high = VELOCITY
        config = FitConfig(
            amplitudes="tied",
            velocity_range=(low - _MARGIN_KMS, high + _MARGIN_KMS),
            broadening_range=BROADENING,
        )
        return network_fluxes(objects.bands, resolve_bands(objects.bands, config))

    def judged(self, fluxes: Any, objects: Objects) -> Estimate:
        """The posterior of measured fluxes at the truth."""
        import jax.numpy as jnp

        from nebulines.cubes.network.line_fluxes import halpha_snr, scaled
        from nebulines.cubes.network.ratio_columns import decrement_per_ebv
        from nebulines.networks.line_ratios.answer import cumulative, marginals, read, spread
        from nebulines.networks.line_ratios.levels import reading_levels, stated
        from nebulines.networks.line_ratios.network import PRIORS
        from nebulines.networks.line_ratios.space import LINES

        names, per_ebv, card = RATIOS[:-1], decrement_per_ebv(), self.pretrained.card
        snr = halpha_snr(fluxes)
        levels = reading_levels(card, self.prior, names, snr)
        log_flux = np.log10(np.stack([objects.truth[f"{k}_flux"] for k in LINES], axis=1))
        exact = np.asarray(coordinates(jnp.asarray(log_flux)))
        true = np.log10(true_ratios(objects.truth)[:, :-1])
        value, covariance = scaled(fluxes)
        parts = []
        for i in range(0, len(exact), _BATCH):
            rows = slice(i, i + _BATCH)
            data = jnp.asarray(value[rows], jnp.float32), jnp.asarray(covariance[rows], jnp.float32)
            present = fluxes.present[rows]
            kinds = np.full(len(present), PRIORS.index(self.prior))
            found = marginals(read(self.pretrained.network, *data, present, kinds), names, per_ebv)
            below = cumulative(found, jnp.asarray(true[rows], jnp.float32))
            parts.append([np.asarray(p, float) for p in (*spread(found, levels[rows])[:3], below)])
        low, middle, high, pit = (np.concatenate(p) for p in zip(*parts, strict=True))
        fixed = true_ratios(objects.truth)[:, -1:]
        return Estimate(
            np.concatenate([10.0**middle, fixed], axis=1),
            np.concatenate([0.5 * (10.0**high - 10.0**low), 0.0 * fixed], axis=1),
            np.concatenate(
                [stated(card, self.prior, names, snr, pit), np.full_like(fixed, np.nan)], axis=1
            ),
        )


def dense_ensemble(network: Any) -> RatioMethod:
    """The network ``line_ratio_ann`` as a method."""
    import equinox as eqx

    run = eqx.filter_jit(network)

    def measure(objects: Objects) -> Estimate:
        spectra = joined(objects.bands)
        parts = [run(spectra[i : i + _BATCH]) for i in range(0, len(spectra), _BATCH)]
        ratio, error = (
            np.concatenate([np.asarray(x, float) for x in p]) for p in zip(*parts, strict=True)
        )
        return Estimate(ratio, error)

    return measure

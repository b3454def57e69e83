"""The least scatter that any method can have: the exact posterior under the generating prior.

Fluxes F of the lines, measured with the covariance C of the Cramer-Rao bound of a joint fit, say
of a source with relative fluxes f_m that it is as bright as A = (f_m^T C^-1 F) / (f_m^T C^-1 f_m)
and that its chi2 falls by (f_m^T C^-1 F)^2 / (f_m^T C^-1 f_m). With sources drawn from the prior
itself as f_m, that gives the weights of the exact posterior of any ratio. The estimate q that makes
the standard deviation of the relative error q/r - 1 least is E[1/r] / E[1/r^2]; no network, however
it was trained, can be below the scatter that is left, but for what chance gives to few objects.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.evaluation.held_out import held_out_seed
from nebulines.evaluation.line_ratio_noise import STRONG
from nebulines.evaluation.line_ratios import RatioSet, joint_bound
from nebulines.lines import amplitude_matrix
from nebulines.networks.line_ratios.ann import RATIOS
from nebulines.networks.line_ratios.space import LINES
from nebulines.training.line_ratios.ann import true_ratios
from nebulines.training.line_ratios.priors import PAPER, PAPER_CLASS, draw_sources, reddened
from nebulines.training.line_ratios.spectra import BROADENING, Objects, with_partners

SOURCES = 200_000
LEAST_EFFECTIVE = 30.0
"""Sources that must carry the weight of a posterior for it to count."""
_STREAM = 45


class Floor(NamedTuple):
    """Least scatter, each (8,) of `line_ratio_ann.RATIOS` but the last.

    Attributes:
        relative: standard deviation of the relative error [%].
        arcsinh: that of the relative error of arcsinh of the ratio [%].
        n: objects that it is measured on.
        effective: median number of sources that carry the weight.
    """

    relative: np.ndarray
    arcsinh: np.ndarray
    n: int
    effective: float


def posterior_floor(
    held_out: RatioSet, *, seed: int, kind: str = PAPER, sources: int = SOURCES
) -> Floor:
    """The least scatter of ratios of held-out objects.

    Args:
        held_out: the objects; their noise is not used, but noise of the same covariance.
        seed: of the noise and of the sources that stand for the prior.
        kind: of nebulae that the objects are.
        sources: how many stand for the prior.
    """
    seen, inverse = _noisy(held_out.objects, seed)
    library = reddened(draw_sources(kind, sources, held_out_seed(seed, _STREAM + 1)))
    named = with_partners(dict(zip(LINES, library.T, strict=True)))
    ratio = true_ratios({f"{name}_flux": values for name, values in named.items()})[:, :-1]
    scales = (ratio, np.arcsinh(ratio))
    single = library.astype(np.float32)
    found = [_best(_weights(*one, single), scales) for one in zip(seen, inverse, strict=True)]
    effective = np.array([one[1] for one in found])
    sure = effective > LEAST_EFFECTIVE
    true = held_out.ratio[:, :-1]
    best = np.array([one[0] for one in found])
    spread = [
        100.0 * np.std((best[:, k] / exact - 1.0)[sure], axis=0)
        for k, exact in enumerate((true, np.arcsinh(true)))
    ]
    return Floor(spread[0], spread[1], int(sure.sum()), float(np.median(effective)))


def exact_medians(
    objects: Objects, ratio: str, *, seed: int, kind: str, sources: int = SOURCES
) -> tuple[np.ndarray, np.ndarray]:
    """Median of the exact posterior of one ratio, as the network states it.

    Even an exact median is off in the mean over objects of one and the same truth: where the
    prior is flat in the logarithm of a flux of relative error e, its logarithm comes out low by
    2 e^2.

    Args:
        objects: whose noise is not used, but noise of the same covariance.
        ratio: one of `line_ratio_ann.RATIOS`.
        seed: of the noise and of the sources that stand for the prior.
        kind: of nebulae that the posterior takes them for.
        sources: how many stand for the prior.

    Returns:
        Natural logarithm of the median (n,), and the effective number (n,) of sources.
    """
    seen, inverse = _noisy(objects, seed)
    library = reddened(draw_sources(kind, sources, held_out_seed(seed, _STREAM + 3)))
    named = with_partners(dict(zip(LINES, library.T, strict=True)))
    known = true_ratios({f"{name}_flux": values for name, values in named.items()})
    order = np.argsort(known[:, RATIOS.index(ratio)])
    log_ratio = np.log(known[order, RATIOS.index(ratio)])
    single = library[order].astype(np.float32)
    median, effective = np.empty(len(seen)), np.empty(len(seen))
    for k, one in enumerate(zip(seen, inverse, strict=True)):
        weight = _weights(*one, single)
        median[k] = np.interp(0.5, np.cumsum(weight), log_ratio)
        effective[k] = 1.0 / np.sum(weight**2)
    return median, effective


def ideal_noise_accuracy(
    objects: Objects, clean: np.ndarray, threshold: float, *, seed: int, sources: int = SOURCES
) -> float:
    """Share of objects of which the exact posterior tells rightly whether every strong line has a
    stated share of H-alpha; no classifier does better but by chance.

    Args:
        objects: as many clean as noisy ones, drawn without a least amplitude.
        clean: (n,) bool, the truth.
        threshold: share of H-alpha.
        seed: of the noise and of the sources that stand for the prior.
        sources: how many stand for the prior.
    """
    seen, inverse = _noisy(objects, seed)
    library = reddened(draw_sources(PAPER_CLASS, sources, held_out_seed(seed, _STREAM + 2)))
    strong = [LINES.index(name) for name in STRONG]
    good = library[:, strong].min(axis=1) >= threshold
    balance = np.where(good, 1.0 / good.mean(), 1.0 / (1.0 - good.mean()))
    single = library.astype(np.float32)
    balanced = [_weights(*one, single) * balance for one in zip(seen, inverse, strict=True)]
    says = np.array([weight[good].sum() > weight[~good].sum() for weight in balanced])
    return float(np.mean(says == clean))


def _noisy(objects: Objects, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes (n, 8) with noise, and the inverse (n, 8, 8) of its covariance."""
    seen, covariance = noisy_fluxes(objects, seed)
    return seen.astype(np.float32), np.linalg.inv(covariance).astype(np.float32)


def noisy_fluxes(objects: Objects, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes (n, 8) with noise of `measured_fluxes`, and its covariance (n, 8, 8)."""
    flux, covariance = measured_fluxes(objects)
    generator = np.random.default_rng(held_out_seed(seed, _STREAM))
    away = generator.standard_normal(flux.shape)
    return flux + np.einsum("nij,nj->ni", np.linalg.cholesky(covariance), away), covariance


def measured_fluxes(objects: Objects) -> tuple[np.ndarray, np.ndarray]:
    """True fluxes (n, 8) of `LINES` and the covariance (n, 8, 8) of a joint fit with lines of
    fixed ratio tied and a broadening within the range that it was drawn from."""
    joint, names = joint_bound(objects)
    size = 2 + len(names)
    information = np.linalg.inv(joint.covariance[:, :size, :size])
    information[:, 1, 1] += 12.0 / (BROADENING[1] - BROADENING[0]) ** 2
    templates = amplitude_matrix(names, tied=True)
    strong = [names[k] for k in np.argmax(templates, axis=1)]
    together = np.zeros((2 + len(templates), size))
    together[:2, :2] = np.eye(2)
    together[2:, 2:] = templates
    covariance = np.linalg.inv(together @ information @ together.T)[:, 2:, 2:]
    order = np.array([strong.index(name) for name in LINES])
    flux = np.stack([objects.truth[f"{name}_flux"] for name in LINES], axis=1)
    return flux, covariance[:, order[:, None], order]


def _weights(seen: np.ndarray, inverse: np.ndarray, library: np.ndarray) -> np.ndarray:
    """Posterior weight (m,) of each source, normalised."""
    turned = library @ inverse
    own = np.einsum("ml,ml->m", turned, library)
    along = turned @ seen
    log_weight = 0.5 * np.maximum(along, 0.0) ** 2 / own - 0.5 * np.log(own)
    weight = np.exp(np.float64(log_weight - log_weight.max()))
    return weight / weight.sum()


def _best(weight: np.ndarray, scales: tuple[np.ndarray, ...]) -> tuple[list[np.ndarray], float]:
    """Estimates of least relative error on each scale, and the effective number of sources."""
    effective = float(1.0 / np.sum(weight**2))
    chosen = weight > 1e-9 * weight.max()
    weight = weight[chosen]
    best = [
        (weight @ (1.0 / values[chosen])) / (weight @ (1.0 / values[chosen] ** 2))
        for values in scales
    ]
    return best, effective

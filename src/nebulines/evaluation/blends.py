"""Two components in one spectrum: which of them can be told apart, and what an answer is worth.

A method that answers with one component is judged beside two truths: the brighter component, and
the sum of both, whose velocity is their flux-weighted mean and whose broadening is

    s^2 = sum_k w_k (s_k^2 + (v_k - v)^2),  w_k the share of component k in the flux of H-alpha.

Which one may be asked for is decided by the spectrum. The likelihood-ratio statistic lambda is the
chi2 that the best fit of one component leaves in the noise-free spectrum, in units of the noise: a
test that knew both components in advance would see a normal deviate of mean sqrt(lambda) and
variance 1 (Neyman & Pearson 1933), and no test is better. Below the threshold of the flag
`SECOND_COMPONENT`, one component is all that the spectrum says, and the sum is the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from nebulines.evaluation.held_out import held_out_seed
from nebulines.evaluation.methods import Measured, Method
from nebulines.evaluation.out_of_range import WARNED, Blend, two_components
from nebulines.fitting.columns import PROFILE_STATISTIC

EDGES = (0.0, PROFILE_STATISTIC, 20.0, 50.0, 200.0, np.inf)
"""Bins of lambda."""
_STREAM = 120
_SIGMAS = 3.0


class Blends(NamedTuple):
    """Held-out spectra of two components.

    Attributes:
        blend: truth and spectra.
        statistic: (n,) lambda, see above.
        velocity, broadening: (n,) of the sum [km/s].
    """

    blend: Blend
    statistic: np.ndarray
    velocity: np.ndarray
    broadening: np.ndarray


def draw_blends(n: int, *, seed: int) -> Blends:
    """Draw spectra of two components and find out how well they can be told apart.

    Args:
        n: number of spectra.
        seed: of the held-out stream.
    """
    stream = held_out_seed(seed, _STREAM)
    blend = two_components(n, stream)
    clean = two_components(n, stream, noise=False).spectra
    return Blends(blend, statistic(clean), *summed(blend))


def statistic(clean: Any) -> np.ndarray:
    """lambda (n,): chi2 of the best fit of one component to spectra without noise, as their
    variance counts it."""
    from nebulines.cubes.measure import fit

    model = np.asarray(fit(clean, keep_model=True, method="fit").model)
    left = (clean.flux - model) ** 2 / clean.variance
    return np.where(np.isfinite(left), left, 0.0).sum(axis=1)


def summed(blend: Blend) -> tuple[np.ndarray, np.ndarray]:
    """Velocity and broadening (n,) of both components together [km/s].

    Example:
        >>> one = {"velocity": np.zeros(1), "broadening": np.full(1, 3.0),
        ...        "HALPHA6563_flux": np.ones(1)}
        >>> other = one | {"velocity": np.full(1, 8.0)}
        >>> [float(x[0]) for x in summed(Blend(one, other, np.ones(1), None))]
        [4.0, 5.0]
    """
    parts = (blend.first, blend.second)
    flux = np.stack([part["HALPHA6563_flux"] for part in parts]) * [np.ones_like(blend.share),
                                                                    blend.share]  # fmt: skip
    weight = flux / flux.sum(axis=0)
    velocity, broadening = (
        np.stack([part[name] for part in parts]) for name in ("velocity", "broadening")
    )
    mean = np.sum(weight * velocity, axis=0)
    square = np.sum(weight * (broadening**2 + (velocity - mean) ** 2), axis=0)
    return mean, np.sqrt(square)


def ideal_share(found: np.ndarray) -> float:
    """Share of spectra in which a test that knew both components would exceed the flag's
    threshold."""
    from scipy.stats import norm

    return float(norm.cdf(np.sqrt(found) - np.sqrt(PROFILE_STATISTIC)).mean())


def judge_blends(
    method: Method, blends: Blends, *, edges: Sequence[float] = EDGES
) -> list[dict[str, float]]:
    """Share [%] of answers that are flagged, and that cover a truth, in bins of lambda; the last
    row is all.

    Args:
        method: measures spectra.
        blends: from `draw_blends`.
        edges: of the bins.

    Returns:
        For each bin ``low``, ``high``, ``n``, ``ideal`` (share that a test which knew both
        components would flag), ``flagged``, ``brighter`` and ``sum`` (velocity and broadening
        within 3 stated errors of either truth), ``safe`` (flagged, or the brighter one, or, below
        the flag's threshold, the sum).
    """
    measured = method(blends.blend.spectra)
    flagged = (np.asarray(measured.flags) & int(WARNED)) != 0
    first = blends.blend.first
    brighter = _covers(measured, first["velocity"], first["broadening"])
    together = _covers(measured, blends.velocity, blends.broadening)
    told = blends.statistic >= PROFILE_STATISTIC
    safe = flagged | brighter | (together & ~told)
    rows = []
    for low, high in [*pairwise(edges), (edges[0], edges[-1])]:
        inside = (blends.statistic >= low) & (blends.statistic < high)
        if not inside.any():
            continue
        shares = {"flagged": flagged, "brighter": brighter, "sum": together, "safe": safe}
        rows.append(
            {"low": low, "high": high, "n": int(inside.sum())}
            | {"ideal": 100.0 * ideal_share(blends.statistic[inside])}
            | {name: 100.0 * float(where[inside].mean()) for name, where in shares.items()}
        )
    return rows


def _covers(measured: Measured, velocity: np.ndarray, broadening: np.ndarray) -> np.ndarray:
    truths = (("velocity", velocity), ("broadening", broadening))
    inside = [
        np.abs(np.asarray(getattr(measured, name), float) - truth)
        <= _SIGMAS * np.asarray(getattr(measured, f"{name}_err"), float)
        for name, truth in truths
    ]
    return inside[0] & inside[1]

"""Clean or noisy: the random forest of Rhea et al. 2021, section 3.2.

A spectrum is clean where every strong line has at least a stated share of the flux of H-alpha, as
seen through the dust. Ten decision trees learn this from spectra of SN1, SN2 and SN3, divided by
their maximum; 90 % of them train and 10 % test.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.errors import UsageError
from nebulines.evaluation.held_out import held_out_seed
from nebulines.training.line_ratios.ann import joined
from nebulines.training.line_ratios.priors import PAPER_CLASS
from nebulines.training.line_ratios.spectra import Objects, paper_objects

THRESHOLD = 0.05
TREES = 10
TRAINING_SHARE = 0.9
STRONG = ("OII3726", "OII3729", "OIII5007", "NII6583", "SII6716", "SII6731")
"""Lines that a clean spectrum shows."""


class NoiseSet(NamedTuple):
    """Objects with their weakest strong line.

    Attributes:
        spectra: (n, channel) divided by the maximum.
        weakest: (n,) flux of the weakest of the strong lines over that of H-alpha, as seen.
        snr: (n,).
    """

    spectra: np.ndarray
    weakest: np.ndarray
    snr: np.ndarray


class NoiseVerdict(NamedTuple):
    """How a classifier does on spectra that it did not learn from.

    Attributes:
        threshold: share of H-alpha that the weakest line needs.
        confusion: (2, 2) counts, truth (noisy, clean) by verdict.
        accuracy: share that is right.
        by_snr: (low, high, n, accuracy) in bins of S/N.
    """

    threshold: float
    confusion: np.ndarray
    accuracy: float
    by_snr: list[tuple[float, float, int, float]]


def draw_noise_set(n: int, *, seed: int, stream: int = 60) -> NoiseSet:
    """Held-out objects without a least amplitude of their lines.

    Example:
        >>> draw_noise_set(3, seed=1).spectra.shape
        (3, 1231)
    """
    return as_noise_set(paper_objects(n, held_out_seed(seed, stream), kind=PAPER_CLASS))


def as_noise_set(objects: Objects) -> NoiseSet:
    """What the classifier sees of objects."""
    spectra = joined(objects.bands)
    flux = np.stack([objects.truth[f"{name}_flux"] for name in STRONG], axis=1)
    weakest = flux.min(axis=1) / objects.truth["HALPHA6563_flux"]
    top = spectra.max(axis=1, keepdims=True)
    return NoiseSet(spectra / top, weakest, objects.truth["snr"])


def judge_noise(
    found: NoiseSet, *, threshold: float = THRESHOLD, trees: int = TREES, seed: int = 0
) -> NoiseVerdict:
    """Train the forest on as many noisy as clean spectra, and judge it on the rest.

    Args:
        found: objects of both kinds.
        threshold: share of H-alpha.
        trees: of the forest.
        seed: of the partition and of the forest.

    Raises:
        UsageError: scikit-learn is not installed, or one kind has fewer than 20 objects.
    """
    try:
        from sklearn.ensemble import RandomForestClassifier
    except ImportError:
        raise UsageError(
            "the noise classifier needs scikit-learn: pip install 'nebulines[train]'"
        ) from None
    generator = np.random.default_rng([seed, 3])
    clean = found.weakest >= threshold
    count = min(int(clean.sum()), int((~clean).sum()))
    if count < 20:
        raise UsageError(
            f"at a threshold of {threshold:g} one kind has {count} objects only: draw more"
        )
    rows = np.concatenate(
        [generator.choice(np.flatnonzero(kind), count, replace=False) for kind in (~clean, clean)]
    )
    rows = generator.permutation(rows)
    split = round(TRAINING_SHARE * len(rows))
    forest = RandomForestClassifier(n_estimators=trees, random_state=seed)
    forest.fit(found.spectra[rows[:split]], clean[rows[:split]])
    test = rows[split:]
    verdict = forest.predict(found.spectra[test])
    confusion = np.array(
        [[int(np.sum((clean[test] == a) & (verdict == b))) for b in (False, True)]
         for a in (False, True)]
    )  # fmt: skip
    right = verdict == clean[test]
    bins = [(low, low + 5.0) for low in (5.0, 10.0, 15.0, 20.0, 25.0)]
    by_snr = []
    for low, high in bins:
        inside = (found.snr[test] >= low) & (found.snr[test] < high)
        share = float(right[inside].mean()) if inside.any() else float("nan")
        by_snr.append((low, high, int(inside.sum()), share))
    return NoiseVerdict(threshold, confusion, float(right.mean()), by_snr)

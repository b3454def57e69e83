"""The section of the page on de-noising about redshifts that are wrong: which are told."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.evaluation.tables import markdown
from nebulines.galaxies.denoising.engine import Clean, denoise_bins
from nebulines.galaxies.denoising.lines import measure_lines
from nebulines.galaxies.denoising.other_redshifts import SHIFTS, filled, log_odds, moved_galaxies
from nebulines.galaxies.denoising.training_sets import LINES, CleanSet
from nebulines.networks.denoise.grid import LOG_STEP
from nebulines.networks.denoise.network import WIDE, Denoise
from nebulines.reports.denoising.bench import Bench
from nebulines.reports.section import Section
from nebulines.spectra import Flag

NOISES = (0.01, 0.02, 0.04)
_BINS = (0, 6, -16, 54)
"""By which spectra are moved: towards the red where the redshift is too low."""
_JUDGED = ("OII3727", "HBETA4861", "OIII5007", "HALPHA6563", "NII6583", "SII6716")
_WRONG = 3.0
_DRAWS, _FALSE = 100, 1.0
_NEAR = 2  # bins


class Told(NamedTuple):
    """Of galaxies at one noise and one error of the redshift, shares: flagged but for the redshift,
    and with it; what a test could flag that knows which other redshift it is; with a line flux more
    than 3 of its errors off and no flag, before and after the redshift is looked at; of those
    flagged with BAD_REDSHIFT, with the right redshift beside the flag."""

    gate: float
    flagged: float
    known: float
    wrong_before: float
    wrong: float
    found: float


def wrong_redshifts(bench: Bench) -> Section:
    """Galaxies brought to rest with redshifts that are wrong."""
    found = {str(noise): told(bench.wide, bench.test, noise, bench.seed) for noise in NOISES}
    rows: list[list[Any]] = [
        [noise, f"{bins * LOG_STEP:+.4f}", *(f"{share:.3f}" for share in row)]
        for noise, by_bins in found.items()
        for bins, row in by_bins.items()
    ]
    header = ["noise", "error of ln (1 + z)", "flagged by the gate", "with the redshift looked at",
              "known shift, 1 % of right ones", "unflagged and wrong before", "now",
              "right redshift beside the flag"]  # fmt: skip
    text = (
        "The test galaxies moved by whole bins, white noise, the bins that they leave missing; the "
        "network of the wide prior. Flagged: POOR_FIT, OUT_OF_RANGE or BAD_REDSHIFT. `known "
        "shift`: what the likelihood ratio of this and the given redshift alone could tell if one "
        "knew by how much the redshift may be wrong, with a false alarm in 1 % of right ones. "
        f"`wrong`: the flux of one of six bright lines is more than {_WRONG:g} of its stated "
        "errors off; what remains at a right redshift is the tail of the posteriors. The last "
        f"column: of those with BAD_REDSHIFT, the other redshift within {_NEAR} bins of the truth."
    )
    numbers = {
        noise: {f"{bins * LOG_STEP:+.4f}": row._asdict() for bins, row in by_bins.items()}
        for noise, by_bins in found.items()
    }
    return Section([text, markdown(header, rows)], numbers)


def told(network: Denoise, galaxies: CleanSet, noise: float, seed: int) -> dict[int, Told]:
    """What is told of galaxies, by the bins that they are moved: none first.

    Args:
        network: `Denoise` for the wide prior.
        galaxies: clean.
        noise: in a bin.
        seed: of the noise.
    """
    rng, found, least = np.random.default_rng([seed, 91]), {}, {}
    noisy = (galaxies.spectra + noise * rng.normal(size=galaxies.spectra.shape)).astype(np.float32)
    for bins in _BINS:
        flux, weight = moved_by(noisy, bins), moved_by(np.full_like(noisy, noise**-2.0), bins)
        clean = denoise_bins(network, flux, weight, draws=_DRAWS, prior=WIDE)
        odds = _odds(clean, flux, weight)
        if not bins:
            least = dict(zip(SHIFTS, np.percentile(odds, 100.0 - _FALSE, axis=0), strict=True))
        flags, wrong = clean.gate.flags, line_far_off(network, clean, galaxies.line_flux)
        gate = (flags & (Flag.POOR_FIT | Flag.OUT_OF_RANGE)) != 0
        other = (flags & Flag.BAD_REDSHIFT) != 0
        every = gate | other
        near = other & (np.abs(clean.gate.evidence.moved - bins) <= _NEAR) & bool(bins)
        known = odds[:, bins == SHIFTS] > least[bins]
        marked = (gate, every, known, wrong & ~gate, wrong & ~every, near[other])
        found[bins] = Told(*(float(part.mean()) if len(part) else 0.0 for part in marked))
    return found


def moved_by(rows: np.ndarray, bins: int) -> np.ndarray:
    """Rows (n, m) moved to the right by whole bins, 0 where nothing comes.

    Example:
        >>> moved_by(np.array([[1, 2, 3]]), -1).tolist()
        [[2, 3, 0]]
    """
    moved = np.roll(rows, bins, axis=1)
    if bins:
        moved[:, slice(0, bins) if bins > 0 else slice(bins, None)] = 0
    return moved


def _odds(clean: Clean, flux: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Log odds (n, S) of all the redshifts that are looked at."""
    fit = np.nan_to_num(clean.flux)
    scale = np.linalg.norm(fit, axis=1)
    even, variance = filled(flux, fit, weight)
    return np.asarray(log_odds(moved_galaxies().whole, even, scale, variance)).T


def line_far_off(network: Denoise, clean: Clean, truth: np.ndarray) -> np.ndarray:
    """Whether the flux of a line is far off (n,), in its own errors."""
    table = measure_lines(network.basis, clean.coefficients, clean.draws)  # type: ignore
    away = [np.abs(table[f"{name}_flux"] - truth[:, LINES.index(name)]) for name in _JUDGED]
    errors = [table[f"{name}_flux_err"] for name in _JUDGED]
    return np.any(np.array(away) > _WRONG * np.array(errors), axis=0)

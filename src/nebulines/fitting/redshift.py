"""Redshift of spectra that bring none, by a comb of lines.

On a grid of log wavelength a redshift is a shift, so the flux in a box around every grid point,
above a running median, is computed once and looked up for every line and redshift. A trial
redshift is judged by the likelihood ratio of "lines of a class of nebula" against "no lines",

    gain = sum_l F_l^2 / e_l^2 - (F_l - a t_l)^2 / (e_l^2 + d_l^2) - log(1 + d_l^2 / e_l^2),

with t the class's line strengths (``lines/data/line_strengths.ecsv``), a the best amplitude,
and d_l = SCATTER a t_l the spread of real strengths about the table. Errors e_l grow with the
flux of a line, so that one enormous line does not outweigh the agreement of several, and they
grow with the spectrum's own structure (absorption lines, sky residuals), so that wiggles of
a bright continuum do not pass for lines.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from nebulines.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.line_spread import line_spread_of
from nebulines.fitting.normalise import normalise
from nebulines.fitting.sample import line_contrast
from nebulines.fitting.start import BOX_HALF_WIDTH_SIGMA, CONTINUUM_KMS
from nebulines.lines import LineCatalogue
from nebulines.lines.strengths import LineStrengths, line_strengths
from nebulines.spectra import Spectra

MAX_REDSHIFT = 1.6
MIN_REDSHIFT = -0.003
MAX_SPECTRA = 32
BROADENINGS_KMS = (0.0, 100.0, 300.0)
"""Trial broadenings of the lines."""
SCATTER = 0.5
"""Relative spread of line strengths about those of their class."""
LARGEST_SNR = 25.0
"""A single line counts at most this S/N, squared."""
CANDIDATES = 400
"""Redshifts that pass the first look and are compared with every class of nebula."""
MIN_GAIN = 25.0
ABSENT_LINE = 6.0
"""What a line that is missing costs at most: dust, or absorption under a Balmer line, hide some."""
LONE_LINE = 9.0
"""Gain that one line may bring without any other."""
ONE_BLEND_KMS = 300.0
"""Closer lines ([O II] 3726, 3729) count as one: a broad line would pass for both."""
NEIGHBOURS_KMS = 1500.0
"""Lines closer than this may be one broad feature."""
STRETCH = 0.12
"""Length in log wavelength over which the structure of a spectrum is judged."""
MAX_POINTS = 40_000


class _Boxes(NamedTuple):
    """Flux in boxes of half lengths ``halves`` on a grid of log wavelength that starts at
    ``first`` and advances by ``step``: (spectrum, width, point), error infinite outside the
    band."""

    flux: np.ndarray
    error: np.ndarray
    halves: np.ndarray
    first: float
    step: float


def find_redshift(spectra: Spectra, lines: LineCatalogue, config: FitConfig) -> tuple[float, float]:
    """The redshift at which the lines of the catalogue stand out most, in all spectra together.

    Args:
        spectra: a few bright spectra of one object, or many (the 32 brightest are used).
        lines: lines of the comb.
        config: options (line spread, noise).

    Returns:
        Redshift, and the gain in -2 log likelihood over no lines.

    Raises:
        UsageError: no comb of lines stands out of noise and structure of the spectra.
    """
    spectra = _brightest_rows(spectra)
    boxes = _boxes(spectra, config)
    rest = np.log(lines.wavelength(spectra.axis.medium))
    strengths = line_strengths(lines.names)
    low, high = spectra.axis.wavelength_range()
    lowest = max(np.log1p(MIN_REDSHIFT), np.log(low) - rest.max())
    highest = min(np.log1p(MAX_REDSHIFT), np.log(high) - rest.min())
    trials = np.arange(lowest, highest, boxes.step)
    if len(trials) == 0:
        raise UsageError(
            f"redshift auto: no line of the comb can fall in the band {low:.0f}-{high:.0f} "
            "Angstrom; give --redshift"
        )
    log_doppler, gain = _best_trial(boxes, rest, strengths, trials)
    # upside down the spectra hold no lines, but as much structure
    _, chance = _best_trial(boxes._replace(flux=-boxes.flux), rest, strengths, trials)
    if not gain >= max(MIN_GAIN, chance):
        raise UsageError(
            f"redshift auto: no comb of lines stands out (gain in chi2 {gain:.0f}, of which "
            f"{max(MIN_GAIN, chance):.0f} may be chance; a single line is not enough); "
            "give --redshift"
        )
    return float(np.expm1(log_doppler)), gain


def _best_trial(
    boxes: _Boxes, rest: np.ndarray, strengths: LineStrengths, trials: np.ndarray
) -> tuple[float, float]:
    """The best log(1 + z) and its gain."""
    peak = strengths.flux / np.exp(rest)  # height ~ flux / width, and width ~ wavelength
    peak = peak / peak.max(axis=1, keepdims=True)
    first_look = _first_look(boxes, rest, peak.max(axis=0), trials)
    chosen = np.sort(trials[np.argsort(first_look)[::-1][:CANDIDATES]])
    gain = _gain(boxes, rest, peak, strengths.rarity, chosen)
    best = int(np.argmax(gain))
    near = np.abs(chosen - chosen[best]) < 2.5 * boxes.step
    weight = np.where(near, np.maximum(gain - 0.5 * gain[best], 0.0), 0.0)
    weight[best] = max(weight[best], 1e-30)
    return float(np.average(chosen, weights=weight)), float(gain[best])


def _brightest_rows(spectra: Spectra) -> Spectra:
    if len(spectra) <= MAX_SPECTRA:
        return spectra
    flux = np.asarray(spectra.flux)
    mask = None if spectra.mask is None else np.asarray(spectra.mask, bool)
    return spectra[np.argsort(line_contrast(flux, mask))[::-1][:MAX_SPECTRA]]


def _boxes(spectra: Spectra, config: FitConfig) -> _Boxes:
    """Box fluxes of all spectra on one grid, in units of their noise."""
    estimate = config.noise == "estimate" or spectra.variance is None
    data = normalise(spectra, estimate_noise=estimate)
    n, m = data.data.shape
    log_wavelength = np.log(np.broadcast_to(spectra.axis.wavelength(), (n, m)))
    values, weight = data.data.astype(float), data.weight.astype(float)
    if spectra.axis.kind == "wavenumber":
        log_wavelength, values, weight = (
            part[:, ::-1] for part in (log_wavelength, values, weight)
        )
    low, high = np.nanmin(log_wavelength), np.nanmax(log_wavelength)
    channel = (high - low) / max(m - 1, 1)
    sigma = _line_sigma(spectra, config, channel)
    step = max(0.3 * FWHM_PER_SIGMA * sigma, channel, (high - low) / MAX_POINTS, 1e-6)
    grid = np.arange(low, high + step, step)
    halves = BOX_HALF_WIDTH_SIGMA * np.hypot(sigma, np.array(BROADENINGS_KMS) / SPEED_OF_LIGHT_KMS)
    halves = np.maximum(halves, 0.6 * channel)
    flux, error = np.zeros((2, n, len(halves), len(grid)))
    for row in range(n):
        flux[row], error[row] = _boxes_of_one(
            log_wavelength[row], values[row], weight[row], grid, halves
        )
    return _Boxes(flux, error, halves, float(grid[0]), float(step))


def _line_sigma(spectra: Spectra, config: FitConfig, channel: float) -> float:
    """Typical standard deviation of the line spread, in log wavelength."""
    spread, _ = line_spread_of(spectra, config)
    middle = np.array([np.mean(spectra.axis.wavelength_range())])
    fwhm = np.asarray(spread.fwhm_angstrom(middle)) / middle
    fwhm = fwhm[np.isfinite(fwhm) & (fwhm > 0)]
    return max(float(np.median(fwhm)) if fwhm.size else 0.0, channel) / FWHM_PER_SIGMA


def _boxes_of_one(
    u: np.ndarray, values: np.ndarray, weight: np.ndarray, grid: np.ndarray, halves: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean flux in boxes and its error (width, point) of one spectrum at log wavelengths u."""
    flux = np.zeros((len(halves), len(grid)))
    error = np.full(flux.shape, np.inf)
    used = weight > 0
    if used.sum() < 3:
        return flux, error
    excess = values - _running_median(u, values, used)
    middle = 0.5 * (u[1:] + u[:-1])
    edges = np.concatenate([[2 * u[0] - middle[0]], middle, [2 * u[-1] - middle[-1]]])
    total = np.concatenate([[0.0], np.cumsum(weight * np.where(used, excess, 0.0))])
    information = np.concatenate([[0.0], np.cumsum(weight)])
    for k, half in enumerate(halves):
        upper, lower = grid + half, grid - half
        inside = (upper <= edges[-1]) & (lower >= edges[0])
        signal = np.interp(upper, edges, total) - np.interp(lower, edges, total)
        precision = np.interp(upper, edges, information) - np.interp(lower, edges, information)
        inside &= precision > 0.3 * np.median(precision)
        precision = np.where(inside, precision, 1.0)
        snr = signal / np.sqrt(precision)
        flux[k] = np.where(inside, signal / precision, 0.0)
        error[k] = np.where(inside, _structure(grid, snr, inside) / np.sqrt(precision), np.inf)
    return flux, error


def _structure(grid: np.ndarray, snr: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Typical size (point,) of what stands out of a spectrum in stretches of it, at least 1."""
    stretch = ((grid - grid[0]) / STRETCH).astype(int)
    level = np.ones(stretch[-1] + 1)
    for k in np.unique(stretch[inside]):
        level[k] = 1.4826 * np.median(np.abs(snr[inside & (stretch == k)]))
    centre = grid[0] + (np.arange(len(level)) + 0.5) * STRETCH
    return np.maximum(np.interp(grid, centre, level), 1.0)


def _running_median(u: np.ndarray, values: np.ndarray, used: np.ndarray) -> np.ndarray:
    from scipy.ndimage import median_filter

    filled = np.interp(u, u[used], values[used])
    channel = max(float(np.median(np.diff(u))), 1e-12)
    length = int(np.clip(2.0 * CONTINUUM_KMS / SPEED_OF_LIGHT_KMS / channel, 11, 801)) | 1
    return median_filter(filled, size=min(length, 2 * (len(u) // 2) + 1), mode="nearest")


def _at(boxes: _Boxes, rest: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flux and error (spectrum, width, line, trial) at the lines of every trial."""
    index = np.rint((rest[:, None] + trials[None, :] - boxes.first) / boxes.step).astype(int)
    inside = (index >= 0) & (index < boxes.flux.shape[-1])
    index = np.where(inside, index, 0)
    flux, error = boxes.flux[..., index], boxes.error[..., index]
    error = np.hypot(error, np.maximum(flux, 0.0) / LARGEST_SNR)
    return np.where(inside, flux, 0.0), np.where(inside, error, np.inf)


def _first_look(
    boxes: _Boxes, rest: np.ndarray, strength: np.ndarray, trials: np.ndarray
) -> np.ndarray:
    """Sum (trial,) of the squared S/N of lines in emission, each worth its usual strength."""
    total = np.zeros(len(trials))
    for row in range(len(boxes.flux)):
        one = boxes._replace(flux=boxes.flux[row], error=boxes.error[row])
        score = np.zeros((boxes.flux.shape[1], len(trials)))
        for line, worth in zip(rest, np.minimum(3.0 * strength, 1.0), strict=True):
            flux, error = _at(one, np.array([line]), trials)
            score += worth * (np.maximum(flux[:, 0], 0.0) / error[:, 0]) ** 2
        total += score.max(axis=0)
    return total


def _gain(
    boxes: _Boxes, rest: np.ndarray, peak: np.ndarray, rarity: np.ndarray, trials: np.ndarray
) -> np.ndarray:
    """Gain (trial,) of the best class and width of each spectrum, summed over spectra."""
    total = np.zeros(len(trials))
    for row in range(len(boxes.flux)):
        one = boxes._replace(flux=boxes.flux[row], error=boxes.error[row])
        flux, error = _at(one, rest, trials)  # (width, line, trial)
        flux = np.maximum(flux, 0.0)
        overlap = _overlap(one, rest, trials, flux)
        of_class = [
            _class_gain(flux, error, strengths[:, None], overlap) * (1.0 - rare)
            for strengths, rare in zip(peak, rarity, strict=True)
        ]
        total += np.maximum(np.max(of_class, axis=(0, 1)), 0.0)
    return total


def _overlap(boxes: _Boxes, rest: np.ndarray, trials: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """How far (width, line, line, trial) two lines are one feature: 1 where they are too close,
    or where the spectrum does not sink between neighbours; else the share of their boxes."""
    apart = np.abs(rest[:, None] - rest[None, :])
    boxed = np.maximum(1.0 - apart[None] / (2.0 * boxes.halves[:, None, None]), 0.0)
    boxed = np.where(apart < ONE_BLEND_KMS / SPEED_OF_LIGHT_KMS, 1.0, boxed)
    overlap = np.repeat(boxed[..., None], len(trials), axis=-1)
    order = np.argsort(rest)
    for one, other in pairwise(order):
        if apart[one, other] > NEIGHBOURS_KMS / SPEED_OF_LIGHT_KMS:
            continue
        between, _ = _at(boxes, 0.5 * (rest[[one]] + rest[[other]]), trials)
        lower = np.maximum(np.minimum(flux[:, one], flux[:, other]), 1e-30)
        bridge = np.clip(between[:, 0] / lower, 0.0, 1.0)
        for pair in ((one, other), (other, one)):
            overlap[:, pair[0], pair[1]] = np.maximum(overlap[:, pair[0], pair[1]], bridge)
    return overlap


def _class_gain(
    flux: np.ndarray, error: np.ndarray, strength: np.ndarray, overlap: np.ndarray
) -> np.ndarray:
    """The gain (width, trial) at the best amplitude, for flux and error (width, line, trial).

    Lines whose boxes overlap share their gain, and the strongest line counts no more than all
    others together: one line alone may be any line.
    """
    variance = error**2
    spread = np.zeros_like(flux)
    for _ in range(4):
        weight = 1.0 / (variance + spread)
        amplitude = np.sum(weight * strength * flux, axis=1) / np.maximum(
            np.sum(weight * strength**2, axis=1), 1e-30
        )
        expected = amplitude[:, None] * strength
        spread = (SCATTER * expected) ** 2
    each = flux**2 / variance - (flux - expected) ** 2 / (variance + spread)
    each = np.maximum(each - np.log1p(spread / variance), -ABSENT_LINE)
    each = each / overlap.sum(axis=2)
    strongest = np.max(np.einsum("wlkt,wkt->wlt", overlap, np.maximum(each, 0.0)), axis=1)
    others = each.sum(axis=1) - strongest
    return others + np.minimum(strongest, np.maximum(others, 0.0) + LONE_LINE)

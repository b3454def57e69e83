"""The section of the page on de-noising about real spectra: noise added, lines recovered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.evaluation.tables import markdown
from nebulines.galaxies.denoising.axis import Binned, to_bins
from nebulines.galaxies.denoising.engine import denoise_bins, fit_in_basis
from nebulines.galaxies.denoising.lines import beside_lines
from nebulines.galaxies.denoising.training_sets import LINES
from nebulines.io import read
from nebulines.lines import load_catalogue
from nebulines.networks.denoise.network import WIDE
from nebulines.reports.denoising.bench import Bench
from nebulines.reports.denoising.marks import marks, marks_table
from nebulines.reports.section import Section
from nebulines.spectra import Flag, Spectra

LEAST_SNR = 5.0
"""In the middle bin, of spectra that count as clean."""
NOISES = (0.01, 0.02, 0.04)
_REPEATS = 10
_DRAWS = 200
_COMPARED = ("OII3727", "HBETA4861", "OIII5007", "HALPHA6563", "NII6583", "SII6716")
_DETECTED, _LEAST_EW = 5.0, 1.0
_SNR_STEPS = {"S/N below 3": (0.0, 3.0), "S/N 3 to 6": (3.0, 6.0), "S/N above 6": (6.0, np.inf)}
"""Of a line in the noisy spectrum: its flux over the error of what that spectrum alone says."""
_INTERVALS = ((15.87, 84.13), (2.28, 97.72))
_NEAR = 0.15  # of the reference: an answer that near is no failure
_OWN_NOISE = 0.006
"""Of a spectrum that counts as clean, relative to its norm, at least: calibration, resolution."""
_WORST_CHI2 = 8.0
_NEAREST, _FARTHEST, _STEP = -0.001, 0.04, 2e-4
_STRONG = ("OII3729", "HBETA4861", "OIII4959", "OIII5007", "HALPHA6563", "NII6583")
_SMOOTH = 101
_HALPHA, _NITROGEN = LINES.index("HALPHA6563"), LINES.index("NII6583")


class Reference(NamedTuple):
    """Real spectra (m, 825) of high S/N: what is seen of them, their norms, and line fluxes
    (m, L) with errors from a fit that knows no population, ``used`` (m, L) where they compare."""

    flux: np.ndarray
    sigma: np.ndarray
    norm: np.ndarray
    lines: np.ndarray
    errors: np.ndarray
    used: np.ndarray


def real_spectra(bench: Bench) -> Section:
    """Real spectra with noise added, against the measurement without it."""
    if bench.spectra is None or not bench.spectra.is_dir():
        raise UsageError("no folder of real spectra was given (--spectra FOLDER)")
    found = list(_spectra(bench.spectra))
    if not found:
        raise InputError(f"{bench.spectra.name} holds no spectra of galaxies to compare")
    names, parts = zip(*found, strict=True)
    reference = _reference(bench, Binned(*(np.concatenate(p) for p in zip(*parts, strict=True))))
    rows: list[list[Any]] = []
    numbers: dict[str, Any] = {"files": sorted(set(names)),
                               "galaxies": int(reference.used.any(axis=1).sum())}  # fmt: skip
    for noise in NOISES:
        numbers[str(noise)] = _compared(bench, reference, noise)
        for line, by_gate in numbers[str(noise)]["lines"].items():
            for gate, row in by_gate.items():
                cells = [
                    row[key] for key in ("n", "ratio", "total", "within", "within_2", "silent")
                ]
                rows.append([str(noise), line, gate, *cells])
    header = ["noise", "line", "gate", "spectra", "median ratio", "ratio of sums",
              "within 68 %", "within 95 %", "silent failures"]  # fmt: skip
    flagged, covered, silent = (
        {key: f"{numbers[str(key)][what]:.3f}" for key in NOISES}
        for what in ("flagged", "covered", "silent")
    )
    text = (
        f"{numbers['galaxies']} galaxies with lines (of {len(reference.flux)} spectra) that cover "
        f"70 % of the bins with a S/N above {LEAST_SNR:g}; noise added up to the given share of "
        f"their norm, {_REPEATS} times. Redshifts of files that give none (nearby galaxies) are "
        "found from their lines. The reference is the fit without added noise, lines above "
        f"{_DETECTED:g} sigma and {_LEAST_EW:g} A. `ratio`: recovered over reference, the median "
        "and the sum; `within`: share inside the central 68 and 95 % of the posterior, the error "
        "of the reference added; `S/N`: the reference over the error of what the noisy spectrum "
        "alone says of the line: below 3 the prior has most to say, and the answer must be judged "
        "by its interval; `flag`: lines stronger than usual, flagged, with the posterior's answer; "
        "`fit`: what the gate stopped, which holds the fit and a flag; `silent "
        f"failures`: neither flagged, nor within {_NEAR:.0%}, nor inside the 95 %. Share that was "
        f"flagged: {flagged}. Of all lines that passed, inside the 95 %: {covered}; silent "
        f"failures: {silent}."
    )
    marks = marks_table({str(noise): numbers[str(noise)]["marks"] for noise in NOISES})
    return Section([text, markdown(header, rows), *marks], numbers)


def _spectra(folder: Path) -> Iterator[tuple[str, Binned]]:
    """Name of the file and bins of every usable spectrum."""
    for path in sorted(folder.rglob("*.fits*")):
        try:
            spectra = read(path)
            if not isinstance(spectra, Spectra):
                continue
            spectra, z = _placed(spectra)
            binned = to_bins(spectra, np.where(np.isfinite(z), z, 0.0))
        except (InputError, UsageError):
            continue
        seen = binned.weight > 0
        snr = np.ma.median(np.ma.masked_array(binned.flux * np.sqrt(binned.weight), ~seen), axis=1)
        good = np.isfinite(z) & (seen.mean(axis=1) > 0.7) & (snr.filled(0.0) > LEAST_SNR)
        if good.any():
            yield path.name, Binned(*(part[good] for part in binned))


def _placed(spectra: Spectra) -> tuple[Spectra, np.ndarray]:
    """Redshift (n,) of the file, or, of one spectrum without, from its lines."""
    if spectra.redshift is not None:
        return spectra, np.broadcast_to(spectra.redshift, (len(spectra),)).astype(float)
    if len(spectra) != 1:
        raise UsageError("several spectra without redshifts")
    return spectra, np.array([nearby_redshift(spectra)])


def nearby_redshift(spectra: Spectra) -> float:
    """Redshift under 0.04 of one spectrum, at which bright lines stand out most; NaN where they
    do not stand out."""
    wave = np.atleast_2d(spectra.axis.wavelength())[0]
    flux = np.nan_to_num(np.asarray(spectra.flux[0], float))
    if len(wave) < 2 * _SMOOTH:
        return float("nan")
    ones = np.ones(_SMOOTH) / _SMOOTH
    smooth = np.convolve(np.pad(flux, _SMOOTH // 2, mode="edge"), ones, "valid")[: len(flux)]
    excess = flux / np.maximum(smooth, 1e-3 * np.abs(smooth).max()) - 1.0
    lines = load_catalogue().select(_STRONG).wavelength(spectra.axis.medium)
    trial = np.arange(_NEAREST, _FARTHEST, _STEP)
    heights = np.array([np.interp(lines * (1.0 + z), wave, excess).sum() for z in trial])
    noise = 1.4826 * np.median(np.abs(heights - np.median(heights)))
    best = int(np.argmax(heights))
    return float(trial[best]) if heights[best] > _DETECTED * noise else float("nan")


def _reference(bench: Bench, binned: Binned) -> Reference:
    """Line fluxes and errors without added noise."""
    basis = bench.wide.basis
    rows = np.asarray(basis.coordinates, float)[: basis.n_lines]
    seen = binned.weight > 0
    flux = np.where(seen, binned.flux, 0.0).astype(float)
    norm = np.sqrt(np.sum(np.square(flux), axis=1) / seen.mean(axis=1))
    variance = 1.0 / np.where(seen, binned.weight, 1.0) + np.square(_OWN_NOISE * norm)[:, None]
    weight = np.where(seen, 1.0 / variance, 0.0)
    best, _, sample = fit_in_basis(basis, flux, weight, draws=50, seed=0)
    model = best @ np.asarray(basis.vectors, float)
    chi2 = np.sum(weight * np.square(flux - model), axis=1) / seen.sum(axis=1)
    lines, errors = best @ rows.T, np.std(sample @ rows.T, axis=0)
    ew = lines / (model @ beside_lines().T)
    likely = (chi2 < _WORST_CHI2) & (lines[:, _NITROGEN] < 1.3 * lines[:, _HALPHA])
    used = likely[:, None] & (lines > _DETECTED * errors) & (ew > _LEAST_EW)
    return Reference(flux, np.where(seen, np.sqrt(variance), 0.0), norm, lines, errors, used)


def _compared(bench: Bench, reference: Reference, noise: float) -> dict[str, Any]:
    """What is recovered where noise is added up to a level."""
    rng = np.random.default_rng([bench.seed, 41])
    seen = reference.sigma > 0
    level = noise * reference.norm[:, None]
    extra = np.sqrt(np.maximum(np.square(level) - np.square(reference.sigma), 0.0))
    total = np.square(reference.sigma) + np.square(extra)
    weight = np.where(seen, 1.0 / np.where(total > 0, total, 1.0), 0.0)
    flux = [np.where(seen, reference.flux + extra * rng.normal(size=seen.shape), 0.0)
            for _ in range(_REPEATS)]  # fmt: skip
    truth, errors, used, weight = (
        np.tile(part, (_REPEATS, 1))
        for part in (reference.lines, reference.errors, reference.used, weight)
    )
    clean = denoise_bins(bench.wide, np.concatenate(flux), weight, draws=_DRAWS, seed=1,
                         prior=WIDE)  # fmt: skip
    drawn = _lines(bench, np.asarray(clean.draws)) + errors * rng.normal(
        size=(_DRAWS, *errors.shape)
    )
    middle = np.median(_lines(bench, np.asarray(clean.draws)), axis=0)
    inside = [_inside(drawn, truth, limits) for limits in _INTERVALS]
    near = np.abs(middle - truth) < _NEAR * truth
    stopped = clean.gate.refused
    told = (clean.gate.flags & (Flag.POOR_FIT | Flag.OUT_OF_RANGE)) != 0
    lines: dict[str, Any] = {}
    silent = ~told[:, None] & ~near & ~inside[1]
    for line in _COMPARED:
        k = LINES.index(line)
        columns = [part[:, k] for part in (middle, truth, *inside, silent)]
        snr = truth[:, k] / clean.gate.evidence.data_error[:, k]
        groups = {f"passed, {name}": ~told & (snr >= low) & (snr < high)
                  for name, (low, high) in _SNR_STEPS.items()}  # fmt: skip
        for gate, chosen in {**groups, "flag": told & ~stopped, "fit": stopped}.items():
            rows = used[:, k] & chosen & ~clean.gate.lost
            if rows.any():
                lines.setdefault(line, {})[gate] = _score(*(part[rows] for part in columns))
    passed = used & ~(told | clean.gate.lost)[:, None]
    return {"flagged": float(told[used.any(axis=1)].mean()), "lines": lines,
            "covered": float(inside[1][passed].mean()),
            "silent": float(silent[passed].mean()),
            "marks": marks(clean.gate, truth, used)}  # fmt: skip


def _lines(bench: Bench, coefficients: np.ndarray) -> np.ndarray:
    """Line fluxes (..., L) of coefficients (..., K)."""
    basis = bench.wide.basis
    return coefficients @ np.asarray(basis.coordinates, float)[: basis.n_lines].T


def _inside(draws: np.ndarray, truth: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = np.percentile(np.nan_to_num(draws), limits, axis=0)
    return (truth >= low) & (truth <= high)


def _score(
    flux: np.ndarray,
    truth: np.ndarray,
    within: np.ndarray,
    within_2: np.ndarray,
    silent: np.ndarray,
) -> dict[str, Any]:
    shares = {"within": within, "within_2": within_2, "silent": silent}
    return {
        "n": len(flux),
        "ratio": round(float(np.median(flux / truth)), 3),
        "total": round(float(flux.sum() / truth.sum()), 3),
        **{name: round(float(np.mean(part)), 3) for name, part in shares.items()},
    }

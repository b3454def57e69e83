"""The section of the page on de-noising about real spectra: noise added, lines recovered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.evaluation.tables import markdown
from nebulines.galaxies.denoising.axis import Binned, to_bins
from nebulines.galaxies.denoising.denoise import redshifts
from nebulines.galaxies.denoising.engine import denoise_bins, fit_in_basis
from nebulines.galaxies.denoising.lines import measure_lines
from nebulines.galaxies.denoising.tasks import PAPER_NOISE
from nebulines.galaxies.denoising.training_sets import LINES
from nebulines.io import read
from nebulines.reports.denoising import Bench
from nebulines.reports.section import Section
from nebulines.spectra import Spectra

LEAST_SNR = 5.0
"""In the middle bin, of spectra that count as clean."""
_REPEATS = 20
_COMPARED = ("HALPHA6563", "NII6583", "OIII5007", "HBETA4861", "SII6716")
_DETECTED = 5.0


def real_spectra(bench: Bench) -> Section:
    """Real spectra with noise added, against the measurement without it."""
    if bench.spectra is None or not bench.spectra.is_dir():
        raise UsageError("no folder of real spectra was given (--spectra FOLDER)")
    rows: list[list[Any]] = []
    numbers: dict[str, Any] = {}
    for path in sorted(bench.spectra.rglob("*.fits*")):
        try:
            found = _judged(bench, path)
        except (InputError, UsageError) as error:
            numbers[path.name] = {"refused": str(error).replace(str(path), path.name)[:120]}
            continue
        if found["spectra"]:
            numbers[path.name] = found
            cells = [found["lines"].get(line, {}) for line in _COMPARED]
            values = [c.get(key) for key in ("ratio", "within") for c in cells]
            rows.append([path.name, found["spectra"], found["flagged"], *values])
    header = ["file", "spectra", "flagged", *(f"{line} ratio" for line in _COMPARED),
              *(f"{line} within" for line in _COMPARED)]  # fmt: skip
    text = (
        f"Spectra of S/N above {LEAST_SNR:g} in a bin that cover 70 % of the bins; noise added up "
        f"to {PAPER_NOISE} of their norm, {_REPEATS} times. `ratio`: median flux over the one "
        f"fitted without added noise, lines above {_DETECTED:g} sigma there; `within`: share "
        "inside the central 68 % of the posterior; `flagged`: share of the noisy spectra that the "
        "gate stopped. The reference has errors of its own; real galaxies are not the simulated "
        "ones."
    )
    return Section([text, markdown(header, rows)], numbers)


def _judged(bench: Bench, path: Path) -> dict[str, Any]:
    spectra = read(path)
    if not isinstance(spectra, Spectra):
        raise UsageError("a cube")
    z = redshifts(spectra, None)
    known = np.isfinite(z)
    binned = to_bins(spectra, np.where(known, z, 0.0))
    seen = binned.weight > 0
    snr = np.ma.median(np.ma.masked_array(binned.flux * np.sqrt(binned.weight), ~seen), axis=1)
    good = known & (seen.mean(axis=1) > 0.7) & (snr.filled(0.0) > LEAST_SNR)
    result: dict[str, Any] = {"spectra": int(good.sum()), "lines": {}}
    if not good.any():
        return result
    reference, error, noisy = _references(bench, Binned(*(part[good] for part in binned)))
    clean = denoise_bins(bench.network, *noisy, draws=100, seed=1)
    table = measure_lines(bench.network.basis, clean.coefficients, np.asarray(clean.draws))
    result["flagged"] = float(clean.gate.refused.mean())
    for k, line in enumerate(LINES):
        used = (reference[:, k] > _DETECTED * error[:, k]) & ~clean.gate.lost
        if used.any():
            flux, width = table[f"{line}_flux"][used], table[f"{line}_flux_err"][used]
            truth = reference[used, k]
            inside = np.abs(flux - truth) < np.hypot(width, error[used, k])
            result["lines"][line] = {
                "n": int(used.sum()), "ratio": float(np.median(flux / truth)),
                "within": float(inside.mean()),
            }  # fmt: skip
    return result


def _references(bench: Bench, binned: Binned) -> tuple[np.ndarray, np.ndarray, Any]:
    """Line fluxes and errors without added noise, and the noisy spectra, all repeated."""
    basis = bench.network.basis
    rows = np.asarray(basis.coordinates)[: basis.n_lines]
    seen = binned.weight > 0
    norm = np.sqrt(np.mean(np.square(binned.flux), axis=1, where=seen) * seen.shape[1])
    best, _, sample = fit_in_basis(basis, binned.flux, binned.weight, draws=50, seed=0)
    sigma = np.where(seen, 1.0 / np.sqrt(np.where(seen, binned.weight, 1.0)), 0.0)
    extra = np.sqrt(np.maximum(np.square(PAPER_NOISE * norm[:, None]) - np.square(sigma), 0.0))
    total = np.square(sigma) + np.square(extra)
    rng = np.random.default_rng([bench.seed, 41])
    flux = np.concatenate([binned.flux + extra * rng.normal(size=extra.shape)
                           for _ in range(_REPEATS)])  # fmt: skip
    weight = np.where(seen, 1.0 / np.where(total > 0, total, 1.0), 0.0)
    noisy = (np.where(np.tile(seen, (_REPEATS, 1)), flux, 0.0).astype(np.float32),
             np.tile(weight, (_REPEATS, 1)).astype(np.float32))  # fmt: skip
    tiled = [np.tile(part, (_REPEATS, 1)) for part in (best @ rows.T, np.std(sample @ rows.T, 0))]
    return tiled[0], tiled[1], noisy

"""Spectra a second in memory: filter bank, direct path, SciPy, LUCI, all in one run."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.mocks import FIVE_LINES, SOURCES, MockSet, bound_of
from benchmarks.reference import fit_with_scipy
from nebulines.constants import SINC_FWHM_PER_WIDTH
from nebulines.fitting import fit as engine
from nebulines.fitting.config import FitConfig
from nebulines.instruments import get_instrument
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis
from nebulines.synthetic import simulate

DIRECT_CHANNELS = 372
MIDDLE_CM1 = 15064.0
"""Middle of the five lines, the centre of the band of the direct path."""
CONFIG = FitConfig(lines=FIVE_LINES)


def rates(work: Callable[[], Any], n: int, repeats: int) -> dict[str, float]:
    """Spectra a second of ``work``: the median of ``repeats`` runs after one that warms up, with
    the slowest and the fastest."""
    begin = time.perf_counter()
    work()
    first = time.perf_counter() - begin
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return {
        "n": n,
        "per_second": n / statistics.median(seconds),
        "slowest": n / max(seconds),
        "fastest": n / min(seconds),
        "first_seconds": first,
    }


def sn3(n: int, seed: int, resolution: float | None = None) -> Spectra:
    """SN3 spectra of 842 channels, five lines, S/N 5-30."""
    return simulate("sitelle-sn3", n, seed, lines=FIVE_LINES, resolution=resolution)[1]


def narrow(spectra: Spectra, n_channels: int = DIRECT_CHANNELS) -> Spectra:
    """The channels around the lines."""
    values = spectra.axis.values
    first = int(np.searchsorted(values, MIDDLE_CM1)) - n_channels // 2
    part = slice(first, first + n_channels)
    assert spectra.variance is not None
    return replace(
        spectra,
        flux=np.ascontiguousarray(spectra.flux[:, part]),
        variance=np.ascontiguousarray(spectra.variance[:, part]),
        axis=SpectralAxis(values[part], spectra.axis.kind, spectra.axis.medium),
    )


def plain(spectra: Spectra) -> Spectra:
    """The same with a variance of its own in memory, as a reader gives it."""
    return replace(spectra, variance=np.ascontiguousarray(spectra.variance))


def measure_paths(n: int, repeats: int) -> dict[str, Any]:
    """Filter bank with an R for each row and a common one; direct path with and without search."""
    found: dict[str, Any] = {}
    for name, resolution in (("bank, R per row", None), ("bank, common R", 4900.0)):
        spectra = plain(sn3(n, 11, resolution))
        found[name] = _rate(spectra, n, repeats)
    spectra = narrow(sn3(n, 12))
    with _only_direct():
        found["direct"] = _rate(spectra, n, repeats)
        with _known_start(spectra):
            found["direct, no search"] = _rate(spectra, n, repeats)
        found["direct, 842 channels"] = _rate(plain(sn3(n, 11)), n, repeats)
    return found


def _rate(spectra: Spectra, n: int, repeats: int) -> dict[str, Any]:
    config = engine.resolve(spectra, CONFIG)
    notes: dict[str, str] = {}

    def work() -> None:
        notes.update(engine.fit_block(spectra, config, with_model=False).notes)

    return {
        "channels": spectra.axis.n_channels,
        **rates(work, n, repeats),
        "path": notes["FITPATH"],
    }


@contextmanager
def _only_direct() -> Iterator[None]:
    """Whatever the filter bank could serve goes the direct path."""
    with mock.patch.object(engine, "bank_applies", return_value=False):
        yield


@contextmanager
def _known_start(spectra: Spectra) -> Iterator[None]:
    """The search's answer, found once, is given again at no cost."""
    search, answers = engine.find_start, []

    def record(*arguments: Any, **options: Any) -> Any:
        answers.append(search(*arguments, **options))
        return answers[-1]

    with mock.patch.object(engine, "find_start", side_effect=record):
        engine.fit_block(spectra, engine.resolve(spectra, CONFIG), with_model=False)
    with mock.patch.object(engine, "find_start", return_value=answers[-1]):
        yield


def scipy_sample(count: int) -> MockSet:
    """Spectra of 842 channels for the peers that fit one at a time."""
    table, spectra = simulate("sitelle-sn3", count, 13, lines=FIVE_LINES)
    truth = {name: np.asarray(table[name], float) for name in table.colnames}
    config = engine.resolve(spectra, CONFIG)
    return MockSet(spectra, truth, bound_of(spectra, truth, config), config)


def measure_scipy(count: int) -> dict[str, float]:
    """SciPy least squares, analytic Jacobian, started at the truth (no search), on our channels."""
    sample = scipy_sample(count)
    model = engine.fit_block(sample.spectra, sample.config).model
    reference = fit_with_scipy(sample, count, model)
    miss = reference.velocity - sample.truth["velocity"]
    return {
        "n": count,
        "channels": int(np.isfinite(model[0]).sum()),
        "per_second": count / reference.seconds,
        "velocity_rms_over_bound": _over_bound(miss, sample.bound.velocity_kms),
    }


def _over_bound(miss: np.ndarray, bound: np.ndarray) -> float:
    good = np.isfinite(miss)
    return float(np.sqrt(np.mean(miss[good] ** 2) / np.mean(bound[good] ** 2)))


def measure_luci(python: str, count: int, scratch: Path) -> dict[str, Any]:
    """LUCI as shipped on the same kind of spectra, in the Python where it is installed."""
    sample = scipy_sample(count)
    row, source = get_instrument(SOURCES["sitelle-sn3"].instrument), sample.spectra
    assert source.line_spread is not None
    assert row.step_nm is not None
    assert row.n_steps is not None
    assert row.zpd_index is not None
    width = source.line_spread.sinc_fwhm_cm1() / SINC_FWHM_PER_WIDTH
    cosine = 1e7 / (2.0 * row.step_nm * (row.n_steps - row.zpd_index) * width)
    given, result = scratch / "luci_in.npz", scratch / "luci_out.npz"
    np.savez(
        given,
        axis=source.axis.values,
        flux=source.flux,
        theta_degrees=np.degrees(np.arccos(np.minimum(cosine, 1.0))),
        step_nm=row.step_nm,
        n_steps=row.n_steps,
        zpd_index=row.zpd_index,
    )
    script = Path(__file__).with_name("peer_luci.py")
    run = subprocess.run(
        [python, str(script), str(given), str(result)], capture_output=True, text=True, check=False
    )
    if run.returncode:
        return {"error": (run.stderr.strip().splitlines() or ["no message"])[-1]}
    found = np.load(result)
    miss = {q: found[q] - sample.truth[q] for q in ("velocity", "broadening")}
    return {
        "n": count,
        "version": str(found["version"]),
        "started_by_network": bool(found["started_by_network"]),
        "per_second": 1.0 / float(found["seconds_per_spectrum"]),
        "velocity_rms_over_bound": _over_bound(miss["velocity"], sample.bound.velocity_kms),
        "broadening_rms_over_bound": _over_bound(miss["broadening"], sample.bound.broadening_kms),
        "broadening_bias": float(np.nanmedian(miss["broadening"])),
        "velocity_coverage": float(np.mean(np.abs(miss["velocity"]) <= found["velocity_err"])),
    }

"""How close to the Cramer-Rao bound, how unbiased and how honest the fit is.

``python -m benchmarks.accuracy`` writes ``benchmarks/results/accuracy.md`` and ``.json``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from benchmarks.accuracy_tables import render
from benchmarks.measures import measure
from benchmarks.mocks import FIVE_LINES, SOURCES, MockSet, MockSource, draw
from benchmarks.reference import fit_with_scipy
from benchmarks.reporting import save
from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.evaluation import DISTRUSTED, summary
from nebulines.fitting.fit import FittedBlock, fit_block

BINS = ((5.0, 10.0), (10.0, 15.0), (15.0, 20.0), (20.0, 30.0), (30.0, 30.0))
BRIGHT = ((100.0, 100.0), (1000.0, 1000.0))
NEAR_KMS = 150.0
"""Half range of velocities for maximum likelihood near the truth: far from any confusion of
H-alpha with [N II]."""


def fit_near_truth(mocks: MockSet) -> dict[str, np.ndarray]:
    """Maximum likelihood near the truth: the same fit, each spectrum's redshift set to its true
    one, velocities within `NEAR_KMS` of it; what no search can improve on."""
    spectra, truth = mocks.spectra, mocks.truth["velocity"]
    redshift = 0.0 if spectra.redshift is None else spectra.redshift
    stretch = 1.0 + truth / SPEED_OF_LIGHT_KMS
    moved = replace(spectra, redshift=(1.0 + redshift) * stretch - 1.0)
    config = replace(mocks.config, velocity_range=(-NEAR_KMS, NEAR_KMS))
    columns = dict(fit_block(moved, config, with_model=False).columns)
    # velocities around the true redshift, back around the source's own
    columns["velocity"] = truth + np.asarray(columns["velocity"], float) * stretch
    columns["velocity_err"] = np.asarray(columns["velocity_err"], float) * stretch
    return columns


def judge_bin(
    source: MockSource, snr: tuple[float, float], n: int, seed: int, n_scipy: int
) -> dict[str, Any]:
    """Every number of one bin of S/N: the fit with known noise, with estimated noise, near the
    truth, and SciPy's from the truth on the first ``n_scipy`` spectra."""
    mocks = draw(source, snr, n, seed)
    begin = time.perf_counter()
    fitted = fit_block(mocks.spectra, mocks.config)
    seconds = time.perf_counter() - begin
    estimate = replace(mocks.config, noise="estimate")
    unknown = fit_block(mocks.spectra, estimate, with_model=False)
    kinds: dict[str, Callable[[], Any]] = {
        "fit": lambda: fitted.columns,
        "estimated_noise": lambda: unknown.columns,
        "near_truth": lambda: fit_near_truth(mocks),
    }
    return {
        "snr": list(snr),
        "seconds": seconds,
        "path": fitted.notes["FITPATH"],
        **{kind: measure(mocks, run(), resolved=source.resolved) for kind, run in kinds.items()},
        "scipy": _beside_scipy(mocks, fitted, n_scipy, source.resolved) if n_scipy else None,
    }


def _rows(mocks: MockSet, fitted: FittedBlock, index: np.ndarray) -> tuple[MockSet, FittedBlock]:
    bound = type(mocks.bound)(*(part[index] for part in mocks.bound))
    truth = {name: values[index] for name, values in mocks.truth.items()}
    columns = {name: np.asarray(values)[index] for name, values in fitted.columns.items()}
    chosen = replace(mocks, spectra=mocks.spectra[index], truth=truth, bound=bound)
    return chosen, fitted._replace(columns=columns, model=fitted.model[index])


def _beside_scipy(
    mocks: MockSet, fitted: FittedBlock, count: int, resolved: float
) -> dict[str, Any]:
    """SciPy from the truth and our fit on the same few spectra, those set aside left out, and how
    far apart they are in units of the bound (median: agreement; 99 %: other minima)."""
    flags = np.asarray(fitted.columns["flags"])[:count]
    mocks, fitted = _rows(mocks, fitted, np.flatnonzero((flags & int(DISTRUSTED)) == 0))
    count = len(mocks.spectra)
    reference = fit_with_scipy(mocks, count, fitted.model)
    truth = {name: values[:count] for name, values in mocks.truth.items()}
    ours = {name: np.asarray(values, float)[:count] for name, values in fitted.columns.items()}
    bound_v, bound_s = mocks.bound.velocity_kms[:count], mocks.bound.broadening_kms[:count]
    wide = truth["broadening"] > resolved
    apart = {
        "velocity": np.abs(ours["velocity"] - reference.velocity) / bound_v,
        "broadening": (np.abs(ours["broadening"] - reference.broadening) / bound_s)[wide],
    }
    fluxes = np.stack([ours[f"{name}_flux"] for name in FIVE_LINES], axis=1)
    apart["fluxes"] = (np.abs(fluxes - reference.fluxes) / mocks.bound.fluxes[:count]).ravel()
    pairs = {}
    for who, velocity, broadening in (
        ("scipy", reference.velocity, reference.broadening),
        ("our", ours["velocity"], ours["broadening"]),
    ):
        pairs[f"{who}_velocity"] = summary(truth["velocity"], velocity, bound_v)
        pairs[f"{who}_broadening"] = summary(
            truth["broadening"][wide], broadening[wide], bound_s[wide]
        )
    return {
        "n": count,
        "spectra_per_second": count / reference.seconds,
        "median_difference": {k: float(np.nanmedian(v)) for k, v in apart.items()},
        "p99_difference": {k: float(np.nanpercentile(v, 99)) for k, v in apart.items()},
        **pairs,
    }


def run(
    n: int, n_scipy: int, sources: tuple[str, ...], *, bright: bool, seed: int = 1
) -> dict[str, Any]:
    """All bins of all sources: {source name: [numbers of a bin, ...]}."""
    bins = BINS + (BRIGHT if bright else ())
    jobs = [(SOURCES[name], snr) for name in sources for snr in bins]
    results: dict[str, Any] = {name: [] for name in sources}
    for k, (source, snr) in enumerate(tqdm(jobs, desc="accuracy", unit="bin")):
        results[source.name].append(judge_bin(source, snr, n, seed + k, n_scipy))
    return results


@click.command()
@click.option("-n", "--number", default=20_000, show_default=True, help="Spectra in a bin.")
@click.option("--scipy", "n_scipy", default=1000, show_default=True, help="Fitted by SciPy too.")
@click.option("--source", "sources", multiple=True, type=click.Choice(sorted(SOURCES)))
@click.option("--bright/--no-bright", default=True, help="Bins at S/N 100 and 1000.")
@click.option("--quick", is_flag=True, help="2000 spectra, 100 by SciPy.")
@click.option("--seed", default=1, show_default=True)
def main(
    number: int, n_scipy: int, sources: tuple[str, ...], bright: bool, quick: bool, seed: int
) -> None:
    """Measure accuracy against the Cramer-Rao bound and write it to benchmarks/results."""
    if quick:
        number, n_scipy = min(number, 2000), min(n_scipy, 100)
    chosen = sources or tuple(SOURCES)
    results = run(number, n_scipy, chosen, bright=bright, seed=seed)
    body = render(results)
    save("accuracy", "Accuracy", {"n": number, "sources": results}, body)
    click.echo(body)


if __name__ == "__main__":
    from nebulines.runtime import configure

    configure()
    main()

"""The joint fit of three filters against its Cramer-Rao bound, and its speed.

    python -m benchmarks.joint benchmarks/results/joint [--n 2000] [--field 20x16]

With --field also a mock field of three cubes: simulated, fitted jointly, interpreted.

The same objects in SITELLE SN1, SN2 and SN3 (R 1000, 1000, 4800 to 5000; S/N of H-alpha 5 to 30;
line ratios of H II regions behind E(B-V) 0 to 0.5; broadening 10 to 50 km/s), fitted with a
velocity search over +-1000 km/s. RMS is over objects whose velocity is not flagged ambiguous.

A ratio of two noisy fluxes is no Gaussian: beside its RMS stands that of ratios of fluxes that are
drawn around the truth with the very covariance of the bound (maximum likelihood at its best).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BANDS = ("sitelle-sn1", "sitelle-sn2", "sitelle-sn3")
SNR_BINS = ((5.0, 10.0), (10.0, 20.0), (20.0, 30.0))
LEAST = 50
"""Objects that a row of the table needs."""
DETECTED = 3.0
"""Ratios are judged where both lines are this many bounds bright."""
DRAWS = 16
"""Pairs of fluxes drawn from the bound, for each object and ratio."""
DIRECT_OBJECTS = 2048
"""Objects that the direct path alone is timed on."""
RATIOS = (
    ("HALPHA6563", "HBETA4861"),
    ("OIII5007", "HBETA4861"),
    ("NII6583", "HALPHA6563"),
    ("SII6716", "SII6731"),
)


def main() -> None:
    """Measure, and write joint.json and joint.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--field", metavar="NXxNY")
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    from nebulines.runtime import configure

    configure()
    facts = measure(options.n, options.seed)
    if options.field:
        facts["field"] = field(options.field, options.seed)
    options.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(facts, indent=1)
    (options.folder / "joint.json").write_text(text + "\n", encoding="utf-8")
    (options.folder / "joint.md").write_text(page(facts), encoding="utf-8")


def measure(n: int, seed: int) -> dict[str, Any]:
    """Accuracy table and speeds."""
    from nebulines.evaluation.joint_bound import joint_bound
    from nebulines.fitting.config import FitConfig
    from nebulines.fitting.joint.block import fit_joint_block
    from nebulines.fitting.joint.problem import resolve_bands
    from nebulines.spectra import Flag
    from nebulines.synthetic import simulate

    truth, bands = simulate(BANDS, n=n, seed=seed, prior="hii", ebv=(0.0, 0.5))
    plan = resolve_bands(bands, FitConfig())

    def fit() -> Any:
        return fit_joint_block(bands, plan, with_model=False)

    fit()  # compiles
    block, wall, cpu = fastest(fit)
    load = os.getloadavg()[0]
    before = direct_alone(bands, plan)
    bound = joint_bound(bands, truth, plan.config, plan.lines)
    names = [name for shown in plan.lines for name in shown]
    sure = (block.columns["flags"] & Flag.AMBIGUOUS_VELOCITY) == 0
    rows = []
    for low, high in SNR_BINS:
        snr = np.asarray(truth["snr"])
        pick = sure & (snr >= low) & (snr < high)
        rows += [
            {"snr": [low, high], "quantity": name, **score(*parts, pick)}
            for name, parts in quantities(truth, block.columns, bound, names)
        ]
        best = least(bound, names, pick, np.random.default_rng(seed))
        for row in rows:
            if row["snr"] == [low, high] and row["quantity"] in best:
                row["least_rms_over_bound"] = best[row["quantity"]]
    return {
        "n": n,
        "seed": seed,
        "ambiguous": float(1 - sure.mean()),
        "spectra_per_s": n / wall,
        "cpu_us_per_object": cpu / n * 1e6,
        "cores": os.cpu_count(),
        "load_average": load,
        "paths": block.notes["FITPATH"],
        "direct_alone": before,
        "rows": [row for row in rows if row["n"] >= LEAST],
    }


def field(size: str, seed: int) -> dict[str, Any]:
    """Three cubes of one mock field: coverage of what is measured and derived, single-component
    spaxels against the truth."""
    import tempfile

    import nebulines as nl
    from nebulines.fitting.result import Result
    from nebulines.nebular.interpret import interpret
    from nebulines.synthetic.config import SimulationConfig
    from nebulines.synthetic.cubes import write_cube

    nx, ny = (int(part) for part in size.split("x"))
    config = SimulationConfig(snr=(5, 60), ebv=(0.0, 0.6))
    with tempfile.TemporaryDirectory() as name:
        paths = [
            write_cube(Path(name) / f"{band}.hdf5", band, (ny, nx), seed, config=config)
            for band in BANDS
        ]
        truth: dict[str, np.ndarray] = {}
        for _, path in paths:
            told = Result.read(path)
            truth |= {column: told[column] for column in told}
        found = interpret(nl.fit([nl.read(path) for path, _ in paths]))
    one = truth["n_components"] == 1
    names = ["velocity", "ebv", *(f"{line}_flux" for line in found.lines)]
    miss = {name: np.abs(found[name] - truth[name])[one] / found[f"{name}_err"][one]
            for name in names}  # fmt: skip
    derived = ("ebv", "electron_density", "oxygen_abundance", "log_u", "p_hii")
    return {
        "size": size,
        "spaxels": int(one.size),
        "one_component": int(one.sum()),
        "coverage": {k: float(np.mean(v[np.isfinite(v)] < 1)) for k, v in miss.items()},
        "ebv_bias": float(np.nanmedian((found["ebv"] - truth["ebv"])[one])),
        "measured_share": {name: float(np.isfinite(found[name]).mean()) for name in derived},
        "bpt_share": float(np.mean(found["bpt_nii"] > 0)),
        "class_share": float(np.mean(found["region_class"] > 0)),
    }


def direct_alone(bands: Any, plan: Any) -> dict[str, float]:
    """Speed of the same fit without tables."""
    from unittest.mock import patch

    from nebulines.fitting.joint import block

    few = [spectra[: min(DIRECT_OBJECTS, len(spectra))] for spectra in bands]
    n = len(few[0])
    with patch.object(block, "joint_bank_applies", lambda problem: False):
        block.fit_joint_block(few, plan, with_model=False)  # compiles
        _, wall, cpu = timed(lambda: block.fit_joint_block(few, plan, with_model=False))
    return {"n": n, "spectra_per_s": n / wall, "cpu_us_per_object": cpu / n * 1e6}


def fastest(work: Callable[[], Any], tries: int = 3) -> tuple[Any, float, float]:
    """`timed`, the least of several tries: on a shared machine the one least disturbed."""
    found = [timed(work) for _ in range(tries)]
    return found[0][0], min(one[1] for one in found), min(one[2] for one in found)


def least(bound: Any, names: list[str], pick: np.ndarray, rng: Any) -> dict[str, float]:
    """RMS over bound of the ratios of fluxes drawn from the bound's own Gaussian, clipped as in
    `score`, where both lines are `DETECTED`."""
    found = {}
    for top, bottom in RATIOS:
        at = np.array([names.index(top), names.index(bottom)])
        true = bound.truth[:, at]
        seen = pick & np.all(true > DETECTED * bound.fluxes[:, at], axis=1)
        if not seen.any():
            continue
        root = np.linalg.cholesky(bound.covariance[:, 2 + at[:, None], 2 + at][seen])
        noise = rng.standard_normal((DRAWS, int(seen.sum()), 2))
        drawn = true[seen] + np.einsum("nij,dnj->dni", root, noise)
        miss = drawn[..., 0] / drawn[..., 1] - true[seen, 0] / true[seen, 1]
        pull = np.clip(miss / bound.ratio(*at)[seen], -6, 6)
        found[f"ratio_{top}_{bottom}"] = float(np.sqrt(np.mean(pull**2)))
    return found


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What the work gives, its wall time and the processor time of this process [s]."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def quantities(truth: Any, found: Any, bound: Any, names: list[str]) -> list[tuple[str, tuple]]:
    """(name, (truth, estimate, error, bound)) of what is judged."""
    chosen = [
        ("velocity", (truth["velocity"], found["velocity"], found["velocity_err"],
                      bound.velocity_kms)),
        ("broadening", (truth["broadening"], found["broadening"], found["broadening_err"],
                        bound.broadening_kms)),
    ]  # fmt: skip
    for name in ("OII3726", "HBETA4861", "OIII5007", "HALPHA6563", "SII6731"):
        parts = (truth[f"{name}_flux"], found[f"{name}_flux"], found[f"{name}_flux_err"])
        chosen.append((f"{name}_flux", (*parts, bound.fluxes[:, names.index(name)])))
    for top, bottom in RATIOS:
        true = np.asarray(truth[f"{top}_flux"]) / np.asarray(truth[f"{bottom}_flux"])
        column = f"ratio_{top}_{bottom}"
        at = [names.index(top), names.index(bottom)]
        seen = np.all(bound.truth[:, at] > DETECTED * bound.fluxes[:, at], axis=1)
        limit = np.where(seen, bound.ratio(*at), np.nan)
        chosen.append((column, (true, found[column], found[f"{column}_err"], limit)))
    return chosen


def score(truth: Any, found: Any, error: Any, limit: Any, pick: np.ndarray) -> dict[str, float]:
    """RMS, robust scatter and median bias in units of the bound, and coverage of one sigma."""
    miss = (np.asarray(found) - np.asarray(truth))[pick]
    pull, inside = miss / np.asarray(limit)[pick], np.abs(miss) < np.asarray(error)[pick]
    known = np.isfinite(pull)
    pull, inside = pull[known], inside[known]
    if not len(pull):
        return {"n": 0}
    return {
        "n": len(pull),
        "rms_over_bound": float(np.sqrt(np.mean(np.clip(pull, -6, 6) ** 2))),
        "robust_over_bound": float(1.4826 * np.median(np.abs(pull))),
        "coverage": float(np.mean(inside)),
        "bias_in_bounds": float(np.median(pull)),
    }


def page(facts: dict[str, Any]) -> str:
    """The table as Markdown."""
    lines = [
        "# Joint fit of three filters",
        "",
        f"`{_command(facts)}`: {facts['n']} "
        "objects in SITELLE SN1, SN2, SN3, fitted together. RMS (clipped at 6 bounds) and 1.48 MAD "
        "in units of the Cramer-Rao bound of the joint fit; share of objects within the stated "
        "1 sigma (68.3 % expected). Ratios where both lines exceed 3 bounds; **least**: the same "
        "RMS of ratios of fluxes drawn around the truth with the covariance of the bound, which "
        "no unbiased fit can undercut but by chance.",
        "",
        f"Speed: {facts['spectra_per_s']:,.0f} objects/s, {facts['cpu_us_per_object']:.0f} us of "
        f"processor time an object, on {facts['cores']} cores with a load average of "
        f"{facts['load_average']:.0f} (the best of three; target 20,000/s on 2 free cores, which "
        f"do 2,000,000 / (processor time) a second); {facts['paths']}. The direct path alone, as "
        f"for bands that tables cannot serve: {facts['direct_alone']['spectra_per_s']:,.0f}/s, "
        f"{facts['direct_alone']['cpu_us_per_object']:.0f} us. "
        f"{100 * facts['ambiguous']:.2f} % are flagged `AMBIGUOUS_VELOCITY` and left out below.",
        "",
        "| S/N | n | quantity | RMS/bound | least | MAD/bound | coverage % | bias/bound |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in facts["rows"]:
        low, high = row["snr"]
        best = row.get("least_rms_over_bound")
        beside = "" if best is None else f"{best:.3f}"
        lines.append(
            f"| {low:g}-{high:g} | {row['n']} | {row['quantity']} | {row['rms_over_bound']:.3f} | "
            f"{beside} | "
            f"{row['robust_over_bound']:.3f} | {100 * row['coverage']:.1f} | "
            f"{row['bias_in_bounds']:+.3f} |"
        )
    if "field" in facts:
        lines += _field_lines(facts["field"])
    return "\n".join(lines) + "\n"


def _command(facts: dict[str, Any]) -> str:
    field = f" --field {facts['field']['size']}" if "field" in facts else ""
    return f"python -m benchmarks.joint benchmarks/results/joint --n {facts['n']}{field}"


def _field_lines(field: dict[str, Any]) -> list[str]:
    shares = ", ".join(f"{k} {100 * v:.0f} %" for k, v in field["measured_share"].items())
    rows = [f"| {k} | {100 * v:.1f} |" for k, v in field["coverage"].items()]
    return [
        "",
        "## A mock field of three cubes",
        "",
        f"{field['spaxels']} spaxels, E(B-V) 0 to 0.6, S/N 5 to 60; {field['one_component']} with "
        f"one velocity component are compared with the truth. Median bias of E(B-V) "
        f"{field['ebv_bias']:+.3f} mag. Spaxels with a value: {shares}; BPT class "
        f"{100 * field['bpt_share']:.0f} %, region class {100 * field['class_share']:.0f} %.",
        "",
        "| quantity | within 1 sigma % |",
        "| --- | --- |",
        *rows,
    ]


if __name__ == "__main__":
    main()

"""The joint fit of three filters against its Cramer-Rao bound, and its speed.

    python -m benchmarks.joint benchmarks/results/joint [--n 2000] [--field 20x16]

With --field also a mock field of three cubes: simulated, fitted jointly, interpreted.

The same objects in SITELLE SN1, SN2 and SN3 (R 1000, 1000, 4800 to 5000; S/N of H-alpha 5 to 30;
line ratios of H II regions behind E(B-V) 0 to 0.5; broadening 10 to 50 km/s), fitted with a
velocity search over +-1000 km/s. RMS is over objects whose velocity is not flagged ambiguous.
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
    from nebulines.fitting.joint import fit_joint_block
    from nebulines.fitting.joint_problem import resolve_bands
    from nebulines.spectra import Flag
    from nebulines.synthetic import simulate

    truth, bands = simulate(BANDS, n=n, seed=seed, prior="hii", ebv=(0.0, 0.5))
    plan = resolve_bands(bands, FitConfig())

    def fit() -> Any:
        return fit_joint_block(bands, plan, with_model=False)

    fit()  # compiles
    block, wall, cpu = timed(fit)
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
    return {
        "n": n,
        "seed": seed,
        "ambiguous": float(1 - sure.mean()),
        "spectra_per_s": n / wall,
        "cpu_us_per_object": cpu / n * 1e6,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
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
        "1 sigma (68.3 % expected). Ratios where both lines exceed 3 bounds.",
        "",
        f"Speed: {facts['spectra_per_s']:.0f} objects/s, {facts['cpu_us_per_object']:.0f} us of "
        f"processor time an object, on {facts['cores']} cores with a load average of "
        f"{facts['load_average']:.0f} (target 20,000/s on 2 free cores). "
        f"{100 * facts['ambiguous']:.2f} % are flagged `AMBIGUOUS_VELOCITY` and left out below.",
        "",
        "| S/N | n | quantity | RMS/bound | MAD/bound | coverage % | bias/bound |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in facts["rows"]:
        low, high = row["snr"]
        lines.append(
            f"| {low:g}-{high:g} | {row['n']} | {row['quantity']} | {row['rms_over_bound']:.3f} | "
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

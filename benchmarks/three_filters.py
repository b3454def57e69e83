"""Three cubes of one mock field through the command line, to maps of what they mean.

    python -m benchmarks.three_filters benchmarks/results/three_filters [--field 20x16] [--seed 20]

Simulated in SITELLE's own format (one seed, one field), then

    nebulines fit SN1.hdf5 SN2.hdf5 SN3.hdf5 -o METHOD --method METHOD
    nebulines classify METHOD_MAPS.fits -o METHOD_CLASSES

for the networks alone and for both. Compared with the truth where there is one component.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

BANDS = ("sn1", "sn2", "sn3")
METHODS = ("network", "both")
OPTIONS = ("--snr", "5", "60", "--noise", "white")
RATIOS = (
    ("HALPHA6563", "HBETA4861"),
    ("OIII5007", "HBETA4861"),
    ("NII6583", "HALPHA6563"),
)
DERIVED = ("ebv", "electron_density", "oxygen_abundance", "log_u", "p_hii")


def main() -> None:
    """Run, and write three_filters.json and three_filters.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--field", metavar="NXxNY", default="20x16")
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    from nebulines.runtime import configure

    configure()
    with tempfile.TemporaryDirectory() as name:
        facts = run(Path(name), options.field, options.seed)
    options.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(facts, indent=1)
    (options.folder / "three_filters.json").write_text(text + "\n", encoding="utf-8")
    (options.folder / "three_filters.md").write_text(page(facts), encoding="utf-8")


def run(folder: Path, field: str, seed: int) -> dict[str, Any]:
    """Simulate, fit, classify and compare."""
    from nebulines.fitting.result import Result

    cubes = [folder / f"{band.upper()}.hdf5" for band in BANDS]
    for band, cube in zip(BANDS, cubes, strict=True):
        command(
            "simulate", f"sitelle-{band}", "--cube", field, "--seed", seed, *OPTIONS, "-o", cube
        )
    truth: dict[str, np.ndarray] = {}
    for cube in cubes:
        told = Result.read(cube.with_name(f"{cube.stem}_TRUTH.fits"))
        truth |= {column: told[column] for column in told}
    facts: dict[str, Any] = {"field": field, "seed": seed, "options": OPTIONS}
    for method in METHODS:
        out, classes = folder / method, folder / f"{method}_CLASSES"
        begin = time.perf_counter()
        command("fit", *cubes, "-o", out, "--method", method)
        seconds = time.perf_counter() - begin
        command("classify", f"{out}_MAPS.fits", "-o", classes)
        found = Result.read(Path(f"{out}_MAPS.fits"))
        derived = Result.read(Path(f"{classes}_MAPS.fits"))
        facts[method] = {"seconds": seconds, **compared(truth, found, derived)}
    facts["load_average"] = os.getloadavg()[0]
    return facts


def command(*words: Any) -> None:
    """One command of nebulines, in this process."""
    from click.testing import CliRunner

    from nebulines.cli.main import cli

    result = CliRunner().invoke(cli, [str(word) for word in words])
    if result.exit_code:
        raise SystemExit(f"nebulines {words[0]}: {result.output}")


def compared(truth: Any, found: Any, derived: Any) -> dict[str, Any]:
    """Ratios, velocity and dust beside the truth; shares of spaxels that have an answer."""
    one = np.asarray(truth["n_components"]) == 1
    rows: dict[str, Any] = {}
    pairs: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = [
        ("velocity", truth["velocity"], found["velocity"], found["velocity_err"])
    ]
    for top, bottom in RATIOS:
        true = np.asarray(truth[f"{top}_flux"]) / np.asarray(truth[f"{bottom}_flux"])
        name = f"ratio_{top}_{bottom}"
        pairs.append((name, true, found[name], found[f"{name}_err"]))
    for name, true, value, error in pairs:
        pull = ((np.asarray(value) - true) / np.asarray(error))[one]
        pull = pull[np.isfinite(pull)]
        rows[name] = {
            "n": len(pull),
            "within_1_sigma": float(np.mean(np.abs(pull) < 1)),
            "median_pull": float(np.median(pull)),
            "robust_pull": float(1.4826 * np.median(np.abs(pull - np.median(pull)))),
        }
    ebv = np.asarray(derived["ebv"]) - np.asarray(truth["ebv"])
    return {
        "spaxels": len(one),
        "one_component": int(one.sum()),
        "rows": rows,
        "ebv_bias": float(np.nanmedian(ebv[one])),
        "share": {name: float(np.isfinite(derived[name]).mean()) for name in DERIVED},
        "bpt": float(np.mean(np.asarray(derived["bpt_nii"]) > 0)),
        "region_class": float(np.mean(np.asarray(derived["region_class"]) > 0)),
    }


def page(facts: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = [
        "# Three cubes of one field",
        "",
        f"`python -m benchmarks.three_filters benchmarks/results/three_filters --field "
        f"{facts['field']} --seed {facts['seed']}`: `nebulines simulate` three times, `nebulines "
        "fit SN1.hdf5 SN2.hdf5 SN3.hdf5 --method METHOD`, `nebulines classify`. Spaxels of one "
        f"component beside the truth; load average {facts['load_average']:.0f}, times with "
        "compilation.",
    ]
    for method in METHODS:
        lines += _of_method(method, facts[method])
    return "\n".join(lines) + "\n"


def _of_method(method: str, found: dict[str, Any]) -> Sequence[str]:
    shares = {**found["share"], "BPT class": found["bpt"], "region class": found["region_class"]}
    told = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
    head = [
        "",
        f"## `--method {method}`",
        "",
        f"{found['spaxels']} spaxels, {found['one_component']} of one component; "
        f"{found['seconds']:.0f} s. Median bias of E(B-V) {found['ebv_bias']:+.3f} mag. Spaxels "
        f"with a value: {told}.",
        "",
        "| quantity | n | within 1 sigma % | median pull | robust scatter of pull |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows = [
        f"| {name} | {row['n']} | {100 * row['within_1_sigma']:.1f} | {row['median_pull']:+.2f} "
        f"| {row['robust_pull']:.2f} |"
        for name, row in found["rows"].items()
    ]
    return [*head, *rows]


if __name__ == "__main__":
    main()

"""How many spectra a second, how much memory, how soon the first answer.

``python -m benchmarks.speed`` writes ``benchmarks/results/speed.md`` and ``.json``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from benchmarks.in_memory import measure_luci, measure_paths, measure_scipy
from benchmarks.on_disk import measure_cube, measure_demo, measure_rows, measure_start
from benchmarks.reporting import save
from benchmarks.speed_tables import render

PARTS = ("memory", "start", "rows", "cube", "demo")


def run(*, quick: bool, parts: tuple[str, ...], luci: str | None, scratch: Path) -> dict[str, Any]:
    """Measure the parts asked for, one after the other."""
    repeats = 1 if quick else 5
    results: dict[str, Any] = {}
    for part in tqdm(parts, desc="speed", unit="part"):
        if part == "memory":
            results["memory"] = measure_paths(4_000 if quick else 40_000, repeats)
            results["scipy"] = measure_scipy(30 if quick else 100)
            if luci:
                results["luci"] = measure_luci(luci, 10 if quick else 40, scratch)
        elif part == "start":
            results["start"] = measure_start(scratch, 1 if quick else 3)
        elif part == "rows":
            sizes = (2_000, 10_000) if quick else (10_000, 40_000, 160_000, 320_000)
            begin = results.get("start", {}).get("command", {}).get("seconds", 0.0)
            results["rows"] = measure_rows(scratch, sizes, 1 if quick else 3, begin)
        elif part == "cube":
            results["cube"] = measure_cube(scratch, 64 if quick else 256, 1)
        elif part == "demo":
            results["demo"] = measure_demo(scratch, warm=not quick)
    return results


@click.command()
@click.option("--quick", is_flag=True, help="Small sets and files, few repeats.")
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="[all]")
@click.option("--luci", help="Python of an environment where luci-sitelle is installed.")
@click.option("--scratch", type=click.Path(path_type=Path), help="Folder for 2 GB of mock files.")
def main(quick: bool, parts: tuple[str, ...], luci: str | None, scratch: Path | None) -> None:
    """Measure speed and memory and write them to benchmarks/results."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        results = run(quick=quick, parts=parts or PARTS, luci=luci, scratch=Path(folder))
    body = render(results)
    save("speed", "Speed and memory", results, body)
    click.echo(body)


if __name__ == "__main__":
    from nebulines.runtime import configure

    configure()
    main()

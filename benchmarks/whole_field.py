"""A whole field of SITELLE through ``nebulines fit``: minutes, memory, and whether it is right.

    python -m benchmarks.whole_field [--size 1024x1032] [--method both ...] [--scratch FOLDER]
    python -m benchmarks.whole_field --cube FIELD.hdf5       # one that ``simulate`` made

The mock is ``nebulines simulate sitelle-sn3 --cube NXxNY --snr 3 50 --noise white``: an M33-like
galaxy in the observatory's format, the axis of every spaxel stretched by its field angle, no noise
in the file. The field of view spans the cube whatever its size: 2048x2064 is SITELLE's own, 14 GB;
a million spectra take 3.6 GB, which a small machine keeps in its file cache, so that the program is
measured and not the disk. Writes ``benchmarks/results/whole_field.md``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.files import run_command
from benchmarks.reporting import save, table
from nebulines.cubes.engine import METHODS

PAPER = ("CNN, not parallel (Rhea et al. 2020, section 4.2)", 4_000_000, 14_400.0)
QUANTITIES = {"velocity": "HA6562_VEL", "broadening": "HA6562_SIGMA", "flux": "HA6562_FLUX"}
BRIGHT = 10.0


@click.command()
@click.option("--size", default="1024x1032", show_default=True, help="NXxNY of the mock.")
@click.option("--cube", type=click.Path(path_type=Path), help="A mock that exists, with its truth.")
@click.option("--method", "methods", multiple=True, type=click.Choice(METHODS), help="[all]")
@click.option("--scratch", type=click.Path(path_type=Path), help="Folder for the mock.")
def main(size: str, cube: Path | None, methods: tuple[str, ...], scratch: Path | None) -> None:
    """Measure, and write the page."""
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        written = None
        if cube is None:
            cube = folder / "field.hdf5"
            arguments = ["simulate", "sitelle-sn3", "--cube", size, "--snr", "3", "50", "--noise",
                         "white", "-q", "-o", str(cube)]  # fmt: skip
            written = run_command(arguments, folder / "cache").seconds
        warm_up(folder)
        rows = [measure(cube, method, folder) for method in methods or METHODS]
    facts = {"file_mb": cube_size(cube), "simulated_seconds": written, "runs": rows}
    body = render(facts)
    save("whole_field", "A field of SITELLE", facts, body)
    click.echo(body)


def cube_size(cube: Path) -> float:
    """Size of the file [MB]; NaN where it is gone."""
    return cube.stat().st_size / 1e6 if cube.exists() else float("nan")


def warm_up(folder: Path) -> None:
    """Fill the compilation cache with a small field."""
    small = folder / "small.hdf5"
    shape = ["--cube", "180x180", "--snr", "3", "50", "--noise", "white"]
    run_command(["simulate", "sitelle-sn3", *shape, "-q", "-o", str(small)], folder / "cache")
    for method in METHODS:
        fit_command(small, method, folder)


def fit_command(cube: Path, method: str, folder: Path) -> Any:
    """Cost of ``nebulines fit`` of a cube into maps."""
    arguments = ["fit", str(cube), "-o", str(folder / method), "--method", method, "--no-model"]
    return run_command([*arguments, "-q"], folder / "cache")


def measure(cube: Path, method: str, folder: Path) -> dict[str, Any]:
    """One method: its cost, and its answers beside the truth."""
    cost = fit_command(cube, method, folder)
    if cost.error:
        raise click.ClickException(f"{method}: {cost.error}")
    truth = cube.with_name(f"{cube.stem}_TRUTH.fits")
    found, n, path = judge(folder / f"{method}_MAPS.fits", truth)
    return {
        "method": method,
        "n": n,
        "seconds": cost.seconds,
        "per_second": n / cost.seconds,
        "memory_mb": cost.memory_mb,
        "path": path,
        **found,
    }


def judge(maps: Path, truth: Path) -> tuple[dict[str, Any], int, str]:
    """Where one component is seen above `BRIGHT`: share without a flag, scatter about the truth
    in stated errors, share within one and two of them; number of spaxels; way of the fit."""
    from astropy.io import fits

    with fits.open(maps) as measured, fits.open(truth) as known:
        n, path = measured["MASK"].data.size, measured[0].header["FITPATH"]
        seen = (known["SNR"].data > BRIGHT) & (known["NCOMP"].data == 1)
        good = seen & (measured["MASK"].data == 0)
        found: dict[str, Any] = {"unflagged": float(good.sum() / seen.sum())}
        for name, label in QUANTITIES.items():
            error = measured[f"{label}_ERR"].data[good].astype(float)
            pull = (measured[label].data[good] - known[label].data[good]) / error
            spread = 1.4826 * np.median(np.abs(pull))
            within = [float(np.mean(np.abs(pull) < limit)) for limit in (1.0, 2.0)]
            found[name] = {
                "bias": float(np.median(pull)),
                "spread": float(spread),
                "within": within,
            }
    return found, n, path


def render(facts: dict[str, Any]) -> str:
    """The page."""
    runs = facts["runs"]
    cost = [
        [f"`--method {run['method']}`", f"{run['n']:,}", f"{run['seconds']:.0f}",
         f"{run['seconds'] / 60:.1f}", f"{run['per_second']:,.0f}", f"{run['memory_mb']:,.0f}",
         run["path"]]
        for run in runs
    ]  # fmt: skip
    name, n, seconds = PAPER
    cost.append([name, f"{n:,}", f"{seconds:,.0f}", f"{seconds / 60:.0f}", f"{n / seconds:,.0f}",
                 "-", "-"])  # fmt: skip
    right = [
        [run["method"], name, f"{100 * run['unflagged']:.1f}", f"{run[name]['bias']:+.3f}",
         f"{run[name]['spread']:.3f}", *(f"{100 * share:.1f}" for share in run[name]["within"])]
        for run in runs
        for name in QUANTITIES
    ]  # fmt: skip
    head = ["method", "spectra", "seconds", "minutes", "spectra/s", "peak memory MB", "way"]
    answers = ["method", "quantity", "without a flag %", "median pull", "robust spread",
               "within 1 sigma %", "within 2 sigma %"]  # fmt: skip
    return "\n\n".join(
        [
            f"`nebulines fit FIELD.hdf5 -o OUT --no-model`, file of {facts['file_mb']:,.0f} MB: "
            "wall time from the start of the command to the last map (60 maps with errors and "
            "flags), compiled programs kept from a smaller field.",
            table(head, cost),
            f"Spaxels of one component with a peak of H-alpha above S/N {BRIGHT:g}; pulls are "
            "differences from the truth in stated errors (honest errors: spread 1, 68.3 and "
            "95.4 %).",
            table(answers, right),
        ]
    )


if __name__ == "__main__":
    main()

"""Learn what line ratios H II regions have, for the population simulator.

    python -m benchmarks.learn_galaxy_lines NEBULAR_MODELS OUTPUT

OUTPUT is src/nebulines/galaxies/population/data/hii_lines.toml. NEBULAR_MODELS holds
``izi/HII_CHIm.fits``, the photoionisation models of Perez-Montero 2014 (MNRAS 441, 2663; Cloudy,
POPSTAR stars of 1 Myr), and those of Byler et al. 2017 (ApJ 840, 44; 1 and 2 Myr) as izi
distributes them. log10 of each line over H-beta becomes a polynomial of fourth order in 12 +
log(O/H), log(N/O) and log U; lines that the first grid lacks are taken relative to a Balmer line
from the second, linear in 12 + log(O/H) and log U.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np

CENTRE, SCALE = (8.4, -1.0, -2.9), (0.7, 0.6, 0.8)
ORDER = 4
RANGE = {"oxygen_abundance": (7.7, 9.1), "log_no": (-1.75, -0.1), "log_u": (-3.8, -2.0)}
_SOLAR = 8.69
_LOG_C = 10.4768
LINES = {
    "OII": ("oii3726", "oii3729"),
    "OIII5007": ("oiii5007",),
    "NII6583": ("nii6584",),
    "SII": ("sii6717", "sii6731"),
    "OI6300": ("oi6300",),
    "SIII9069": ("siii9068",),
}
RELATIVE = {
    "HEI5876": ("hei5875", "hbeta", "HBETA4861"),
    "ARIII7136": ("ariii7136", "halpha", "HALPHA6563"),
}


def powers(dimensions: int, order: int) -> list[tuple[int, ...]]:
    """Exponents of every term."""
    every = product(range(order + 1), repeat=dimensions)
    return [term for term in every if sum(term) <= order]


def terms(x: np.ndarray, order: int) -> np.ndarray:
    """(n, terms) of variables (n, d)."""
    return np.stack([np.prod(x**term, axis=1) for term in powers(x.shape[1], order)], axis=1)


def read(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Variables (n, 3) and lines of one grid of izi."""
    from astropy.table import Table

    table = Table.read(path, hdu=1)
    names = [text.decode().strip() if isinstance(text, bytes) else text for text in table["ID"][0]]
    flux = np.asarray(table["FLUX"], float)
    no = np.asarray(table["LOGNO"]) if "LOGNO" in table.colnames else np.zeros(len(table))
    abundance = np.asarray(table["LOGZ"]) + np.asarray(table["LOGOHSUN"])
    x = np.stack([abundance, no, np.asarray(table["LOGQ"]) - _LOG_C], axis=1)
    return x, dict(zip((n.strip() for n in names), flux.T, strict=True))


def learn_grid(folder: Path) -> dict[str, Any]:
    """Polynomials of the lines over H-beta, and how well they hold."""
    x, line = read(folder / "izi" / "HII_CHIm.fits")
    limits = zip(x.T, RANGE.values(), strict=True)
    keep = np.all([(a >= lo) & (a <= hi) for a, (lo, hi) in limits], axis=0)
    design = terms(((x - CENTRE) / SCALE)[keep], ORDER)
    found = {}
    for name, parts in LINES.items():
        y = np.log10(sum(line[part] for part in parts)[keep] / line["hbeta"][keep])
        good = np.isfinite(y)
        coefficients = np.linalg.lstsq(design[good], y[good], rcond=None)[0]
        error = np.std(y[good] - design[good] @ coefficients)
        found[name] = (coefficients, error)
    return found


def learn_relative(folder: Path) -> dict[str, Any]:
    """Planes of the lines relative to another."""
    grids = [read(path) for path in sorted((folder / "izi").glob("byler_*_[12]_Myr.fits"))]
    x = np.concatenate([grid[0] for grid in grids])[:, [0, 2]]
    found = {}
    for name, (top, bottom, _) in RELATIVE.items():
        y = np.concatenate([np.log10(line[top] / line[bottom]) for _, line in grids])
        keep = (x[:, 0] > 7.7) & (x[:, 0] < 8.9) & (x[:, 1] < -2.0) & np.isfinite(y)
        design = terms((x[keep] - np.take(CENTRE, [0, 2])) / np.take(SCALE, [0, 2]), 1)
        coefficients = np.linalg.lstsq(design, y[keep], rcond=None)[0]
        found[name] = (coefficients, np.std(y[keep] - design @ coefficients))
    return found


@click.command()
@click.argument("models", type=click.Path(path_type=Path, exists=True))
@click.argument("output", type=click.Path(path_type=Path))
def main(models: Path, output: Path) -> None:
    """Write the table."""
    head = "# " + "\n# ".join(__doc__.strip().split("\n")).replace("# \n", "#\n")
    text = [head, "", f"centre = {list(CENTRE)}", f"scale = {list(SCALE)}", f"order = {ORDER}"]
    text += [f"{name} = {list(limits)}" for name, limits in RANGE.items()]
    for name, (coefficients, error) in learn_grid(models).items():
        numbers = ", ".join(f"{c:.4f}" for c in coefficients)
        text += ["", f"[hbeta.{name}]", f"residual = {error:.3f}", f"coefficients = [{numbers}]"]
        click.echo(f"{name}: residual {error:.3f} dex")
    for name, (coefficients, error) in learn_relative(models).items():
        numbers = ", ".join(f"{c:.4f}" for c in coefficients)
        text += [
            "",
            f"[relative.{name}]",
            f'to = "{RELATIVE[name][2]}"',
            f"residual = {error:.3f}",
            f"coefficients = [{numbers}]",
        ]
        click.echo(f"{name}: residual {error:.3f} dex")
    output.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

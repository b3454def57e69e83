"""How right the physics of line fluxes is: dust, emissivities, published nebulae.

    python -m benchmarks.nebular [--lists FOLDER]

FOLDER holds published line lists (the examples of NEAT, Wesson et al. 2012). Writes
``benchmarks/results/nebular.md`` and ``.json``.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.atomic_tables import IONS
from benchmarks.classify import read_lists
from benchmarks.reporting import judged, save, table
from nebulines.models import transmission
from nebulines.nebular import Bpt, bpt_class, correct_extinction, log_ratio
from nebulines.nebular.atoms import emissivity, load_atom
from nebulines.nebular.extinction import vacuum_wavelength

SNR = 30.0
INTRINSIC = {
    "OII3726": 110.0,
    "HBETA4861": 100.0,
    "OIII5007": 200.0,
    "HALPHA6563": 286.32,
    "NII6583": 80.0,
    "SII6716": 50.0,
}
RATIOS = (
    "OII3726/HBETA4861",
    "OII3726/OIII5007",
    "OIII5007/HBETA4861",
    "NII6583/HALPHA6563",
    "SII6716/HALPHA6563",
)


def dereddening_bias(a_v: float, n: int, seed: int = 9) -> dict[str, float]:
    """Bias [per cent] of the median of each ratio, H-beta at a S/N of `SNR`."""
    generator = np.random.default_rng([seed, round(10 * a_v)])
    waves = np.array([vacuum_wavelength(name) for name in INTRINSIC])
    left = transmission(waves, a_v / 3.1)
    seen = {k: v * part for (k, v), part in zip(INTRINSIC.items(), left, strict=True)}
    sigma = seen["HBETA4861"] / SNR
    noisy = {k: v + sigma * generator.standard_normal(n) for k, v in seen.items()}
    clean = correct_extinction(noisy)
    return {
        ratio: 100 * (10 ** float(np.nanmedian(log_ratio(clean, ratio) - truth)) - 1)
        for ratio, truth in ((ratio, float(log_ratio(INTRINSIC, ratio))) for ratio in RATIOS)
    }


def pyneb_difference(ion: str) -> float:
    """Largest relative difference [per cent] of line ratios from PyNeb, 5000 to 20000 K, 10 to
    10^5 cm-3; NaN where PyNeb is not installed."""
    try:
        import pyneb
    except ImportError:
        return float("nan")
    atom, temperature = load_atom(ion), np.array([5e3, 7.5e3, 1e4, 1.5e4, 2e4])
    density = 10.0 ** np.arange(1.0, 5.5, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pyneb.Atom(*IONS[ion])
        expected = [
            theirs.getEmissivity(temperature, density, lev_i=up + 1, lev_j=low + 1)
            for up, low in atom.lines.values()
        ]
    found = [emissivity(ion, (name,), temperature[:, None], density) for name in atom.lines]
    quotient = np.asarray(found) / np.asarray(expected)
    return 100 * float(np.abs(quotient / quotient[0] - 1).max())


def published_diagrams(folder: Path) -> dict[str, dict[str, int]]:
    """How many nebulae of each published kind lie in each class of the [N II] diagram."""
    counts: dict[str, dict[str, int]] = {}
    for one in read_lists(folder):
        if {"NII6583", "HALPHA6563", "OIII5007", "HBETA4861"} <= one.fluxes.keys():
            name = Bpt(int(bpt_class({k: np.array([v]) for k, v in one.fluxes.items()})[0])).name
            row = counts.setdefault(one.kind, {kind.name: 0 for kind in Bpt})
            row[name] += 1
    return counts


def _dust_section(n: int) -> tuple[dict[str, Any], list[str]]:
    bias = {f"{a_v:g}": dereddening_bias(a_v, n) for a_v in (0.0, 1.0, 2.0, 3.0)}
    rows = [
        [a_v, *(f"{value:+.2f} %" for value in row.values()), judged(_largest(row), most=1.0)]
        for a_v, row in bias.items()
    ]
    text = [
        f"## Ratios after the correction for dust, H-beta at S/N {SNR:g}",
        "Bias of the median; target: at most 1 per cent for A_V 0 to 3.",
        table(("A_V", *RATIOS, "target"), rows),
    ]
    return {"dereddening_bias_percent": bias}, text


def _largest(row: dict[str, float]) -> float:
    return max(abs(value) for value in row.values())


def _atoms_section() -> tuple[dict[str, Any], list[str]]:
    found = {ion: pyneb_difference(ion) for ion in IONS}
    text = [
        "## Line ratios of five-level atoms against PyNeb",
        "Largest difference, 5000 to 20000 K, 10 to 10^5 cm-3, same atomic data.",
        table(("ion", "difference"), [[ion, f"{value:.2f} %"] for ion, value in found.items()]),
    ]
    return {"pyneb_difference_percent": found}, text


@click.command()
@click.option("--lists", type=click.Path(path_type=Path), help="Folder of published line lists.")
@click.option("--n", "number", default=200_000, show_default=True, help="Noise draws per A_V.")
def main(lists: Path | None, number: int) -> None:
    """Judge the physics and write the tables."""
    facts, text = _dust_section(number)
    more, atoms = _atoms_section()
    facts |= more
    text += atoms
    if lists is not None:
        counts = published_diagrams(lists)
        facts["published_bpt"] = counts
        rows = [[kind, *row.values()] for kind, row in counts.items()]
        text += [
            "## Published nebulae in the [N II] diagram",
            table(("published as", *(kind.name for kind in Bpt)), rows),
        ]
    save("nebular", "Physics of line fluxes", facts, "\n\n".join(text))


if __name__ == "__main__":
    main()

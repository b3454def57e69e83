"""Make the tables of atomic physics that the package ships, from published data.

    python -m benchmarks.atomic_tables src/nebulines/nebular/data src/nebulines/lines/data

The published values are read through PyNeb (Luridiana, Morisset & Shaw 2015, A&A 573, A42),
which must be installed. Collision strengths become cubic polynomials in log10 of the
temperature between 4000 and 25000 K (within 1.2 per cent of the published values); ratios of
hydrogen lines are kept at a few temperatures and densities.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

IONS = {"SII": ("S", 2), "OII": ("O", 2), "OIII": ("O", 3), "NII": ("N", 2), "SIII": ("S", 3)}
LINES = {
    "SII": {"SII6716": (3, 1), "SII6731": (2, 1), "SII4069": (5, 1), "SII4076": (4, 1)},
    "OII": {"OII3726": (3, 1), "OII3729": (2, 1)},
    "OIII": {"OIII4363": (5, 4), "OIII4959": (4, 2), "OIII5007": (4, 3)},
    "NII": {"NII5755": (5, 4), "NII6548": (4, 2), "NII6583": (4, 3)},
    "SIII": {"SIII6312": (5, 4), "SIII9069": (4, 2), "SIII9531": (4, 3)},
}
TEMPERATURES = (5000.0, 7500.0, 10000.0, 12500.0, 15000.0, 20000.0)
LOG_DENSITIES = (2.0, 3.0, 4.0, 5.0, 6.0)
HYDROGEN = {"HALPHA6563": 3, "HGAMMA4340": 5, "HDELTA4102": 6, "HEPSILON3970": 7}
SOURCES = {
    "SII": "A: Rynkun et al. 2019, A&A 623, A155; collisions: Tayal & Zatsarinny 2010, ApJS 188, "
    "32",
    "OII": "A: Zeippen 1982, MNRAS 198, 111; collisions: Kisielius et al. 2009, MNRAS 397, 903",
    "OIII": "A: Storey & Zeippen 2000, MNRAS 312, 813 (4959, 5007), Froese Fischer & Tachiev 2004, "
    "ADNDT 87, 1; collisions: Storey, Sochi & Badnell 2014, MNRAS 441, 3028",
    "NII": "A: Froese Fischer & Tachiev 2004, ADNDT 87, 1; collisions: Tayal 2011, ApJS 195, 12",
    "SIII": "A: Froese Fischer, Tachiev & Irimia 2006, ADNDT 92, 607; collisions: Tayal & Gupta "
    "1999, ApJ 526, 544",
}
"""Publications behind the values that PyNeb 1.1.32 reads by default; energies: NIST."""
_N_LEVELS = 5

_ATOMS_HEADER = """\
# Five lowest levels of ions whose lines measure density and temperature; written by
#   python -m benchmarks.atomic_tables src/nebulines/nebular/data src/nebulines/lines/data
# from the published values named in each source. energy: of each level above the lowest [cm-1];
# weight: 2J + 1; spontaneous: A [s-1] and collision: polynomial in t = log10(T / 10^4 K), from the
# constant upwards, of log10 of the effective collision strength (4000 to 25000 K), both for the
# pairs upper > lower in the order 2-1, 3-1, 3-2, 4-1, ... 5-4. lines: levels (upper, lower).
"""
_CASE_B_HEADER = """\
# Case-B recombination: flux relative to H-beta, Storey & Hummer 1995, MNRAS 272, 41; written by
#   python -m benchmarks.atomic_tables src/nebulines/nebular/data src/nebulines/lines/data
# Rows: temperature [K]; columns: log10 of the electron density [cm-3].
"""


def pairs() -> list[tuple[int, int]]:
    """Levels (upper, lower), counted from 1."""
    return [(i, j) for i in range(2, _N_LEVELS + 1) for j in range(1, i)]


def ion_table(name: str) -> str:
    """One ion as TOML."""
    import pyneb

    atom = pyneb.Atom(*IONS[name])
    levels = range(1, _N_LEVELS + 1)
    energy = [1e8 * float(atom.getEnergy(i)) for i in levels]
    strengths = "\n".join(f"    {_numbers(_fit(atom, i, j), '.5f')}," for i, j in pairs())
    lines = ", ".join(f"{line} = {list(key)}" for line, key in LINES[name].items())
    return "\n".join(
        [
            f"[{name}]",
            f'source = "{SOURCES[name]}"',
            f"energy = {_numbers(energy, '.2f')}",
            f"weight = {_numbers([float(atom.getStatWeight(i)) for i in levels], '.0f')}",
            f"spontaneous = {_numbers([float(atom.getA(i, j)) for i, j in pairs()], '.4e')}",
            f"collision = [\n{strengths}\n]",
            f"lines = {{ {lines} }}",
            "",
        ]
    )


def _fit(atom: Any, upper: int, lower: int) -> np.ndarray:
    temperature = np.linspace(4000.0, 25000.0, 60)
    strength = [float(atom.getOmega(t, upper, lower)) for t in temperature]
    return np.polynomial.polynomial.polyfit(np.log10(temperature / 1e4), np.log10(strength), 3)


def _numbers(values: Any, spec: str) -> str:
    return "[" + ", ".join(format(float(v), spec) for v in values) + "]"


def case_b_table() -> str:
    """Ratios of the Balmer lines as TOML."""
    import pyneb

    hydrogen = pyneb.RecAtom("H", 1)
    density = 10.0 ** np.array(LOG_DENSITIES)
    beta = hydrogen.getEmissivity(np.array(TEMPERATURES), density, lev_i=4, lev_j=2)
    parts = [
        _CASE_B_HEADER,
        f"temperature = {_numbers(TEMPERATURES, '.1f')}",
        f"log_density = {_numbers(LOG_DENSITIES, '.1f')}",
        "",
        "[lines]",
    ]
    for line, level in HYDROGEN.items():
        own = hydrogen.getEmissivity(np.array(TEMPERATURES), density, lev_i=level, lev_j=2)
        rows = ", ".join(_numbers(row, ".4f") for row in own / beta)
        parts.append(f"{line} = [{rows}]")
    return "\n".join(parts) + "\n"


def main() -> None:
    """Write both tables."""
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    folder, lines = Path(sys.argv[1]), Path(sys.argv[2])
    atoms = "\n".join(ion_table(name) for name in IONS)
    (folder / "atoms.toml").write_text(f"{_ATOMS_HEADER}\n{atoms}", encoding="utf-8")
    (lines / "case_b.toml").write_text(case_b_table(), encoding="utf-8")


if __name__ == "__main__":
    main()

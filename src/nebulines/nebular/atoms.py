"""Atoms of five levels: how bright collisionally excited lines are.

The populations n of the levels are in balance: each level is left by spontaneous decay and by
collisions with electrons as often as it is reached. A line shines with n(upper) A(upper, lower)
times its photon's energy.
"""

from __future__ import annotations

import functools
import tomllib
from typing import Any, NamedTuple

import numpy as np

from nebulines.constants import KELVIN_CM
from nebulines.errors import UsageError
from nebulines.nebular.recombination import DATA

_COLLISION = 8.629e-6
"""q(down) = _COLLISION strength / (weight sqrt(T)) [cm3 s-1] (Osterbrock & Ferland 2006,
eq. 3.20)."""


class Atom(NamedTuple):
    """Atomic data of an ion.

    Attributes:
        energy: (5,) of the levels above the lowest [cm-1].
        weight: (5,) 2J + 1.
        spontaneous: (5, 5) A [s-1] from upper (row) to lower (column).
        collision: (5, 5, 4) polynomials in log10(T / 10^4 K) of log10 of the effective
            collision strength, below the diagonal.
        lines: levels (upper, lower), from 0, of each line.
    """

    energy: np.ndarray
    weight: np.ndarray
    spontaneous: np.ndarray
    collision: np.ndarray
    lines: dict[str, tuple[int, int]]


def ions() -> tuple[str, ...]:
    """Ions whose lines are known.

    Example:
        >>> ions()
        ('SII', 'OII', 'OIII', 'NII', 'SIII')
    """
    return tuple(_tables())


@functools.cache
def load_atom(ion: str) -> Atom:
    """Atomic data of one of `ions`.

    Raises:
        UsageError: another ion.

    Example:
        >>> load_atom("OIII").lines["OIII5007"]
        (3, 2)
    """
    if ion not in ions():
        raise UsageError(f"no atomic data for {ion!r}; there are data for {', '.join(ions())}")
    row = _tables()[ion]
    n = len(row["energy"])
    lower = np.tril_indices(n, -1)
    spontaneous, collision = np.zeros((n, n)), np.zeros((n, n, len(row["collision"][0])))
    spontaneous[lower], collision[lower] = row["spontaneous"], row["collision"]
    lines = {name: (upper - 1, low - 1) for name, (upper, low) in row["lines"].items()}
    return Atom(np.array(row["energy"]), np.array(row["weight"]), spontaneous, collision, lines)


def emissivity(ion: str, lines: tuple[str, ...], temperature: Any, density: Any) -> np.ndarray:
    """Light of lines of an ion, summed, per ion and electron in arbitrary units.

    Args:
        ion: one of `ions`.
        lines: names of lines of that ion.
        temperature: of the electrons [K], 4000 to 25000, (...).
        density: of the electrons [cm-3], (...).

    Returns:
        (...); ratios between lines of one ion are exact to the atomic data.

    Raises:
        UsageError: an ion or line without data.

    Example:
        >>> four, five = (emissivity("OIII", (f"OIII{x}",), 1e4, 100.0) for x in (4959, 5007))
        >>> float(five / four).__round__(2)
        2.98
    """
    atom = load_atom(ion)
    if missing := [line for line in lines if line not in atom.lines]:
        raise UsageError(
            f"{ion} has no data for {', '.join(missing)}; it has {', '.join(atom.lines)}"
        )
    share = populations(atom, temperature, density)
    total = np.zeros(share.shape[:-1])
    for upper, lower in (atom.lines[line] for line in lines):
        photon = atom.energy[upper] - atom.energy[lower]
        total = total + share[..., upper] * atom.spontaneous[upper, lower] * photon
    return total / np.asarray(density, float)


def populations(atom: Atom, temperature: Any, density: Any) -> np.ndarray:
    """Shares (..., 5) of the levels in balance at temperatures [K] and densities [cm-3] (...).

    Example:
        >>> populations(load_atom("SII"), 1e4, 100.0).sum().round(6)
        np.float64(1.0)
    """
    temperature, density = np.broadcast_arrays(
        np.asarray(temperature, float), np.asarray(density, float)
    )
    rates = _rates(atom, temperature[..., None, None], density[..., None, None])
    balance = np.swapaxes(rates, -1, -2) - rates.sum(axis=-1)[..., None] * np.eye(len(atom.energy))
    balance[..., 0, :] = 1.0
    right = np.zeros((*balance.shape[:-1], 1))
    right[..., 0, 0] = 1.0
    return np.linalg.solve(balance, right)[..., 0]


def _rates(atom: Atom, temperature: np.ndarray, density: np.ndarray) -> np.ndarray:
    """(..., 5, 5) transitions per second from each level (row) to each other (column)."""
    t = np.log10(temperature / 1e4)
    powers = np.stack([t**k for k in range(atom.collision.shape[-1])], axis=-1)
    strength = 10.0 ** np.sum(atom.collision * powers, axis=-1)
    down = _COLLISION * strength / (atom.weight[:, None] * np.sqrt(temperature))
    gap = atom.energy[:, None] - atom.energy
    below = np.tril(np.ones_like(gap), -1)
    boltzmann = np.exp(-KELVIN_CM * np.abs(gap) / temperature)
    up = down * atom.weight[:, None] / atom.weight * boltzmann
    return density * (below * down + np.swapaxes(below * up, -1, -2)) + atom.spontaneous


@functools.cache
def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads((DATA / "atoms.toml").read_text(encoding="utf-8"))

"""Lines bound to each other: fixed flux ratios, density doublets, shared kinematics."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError


@dataclass(frozen=True)
class Tie:
    """Two lines from one upper level: flux(strong) / flux(weak) = ratio, a constant."""

    strong: str
    weak: str
    ratio: float
    source: str


@dataclass(frozen=True)
class Doublet:
    """Two lines whose flux ratio first / second measures the electron density and lies
    between ``high_density`` and ``low_density``."""

    first: str
    second: str
    low_density: float
    high_density: float
    source: str


@functools.cache
def _tables() -> dict[str, Any]:
    import yaml

    text = (Path(__file__).parent / "data" / "ties.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def load_ties() -> tuple[Tie, ...]:
    """Every fixed ratio, with the theory it comes from.

    Example:
        >>> [tie.ratio for tie in load_ties() if tie.strong == "OIII5007"]
        [2.98]
    """
    return tuple(Tie(**row) for row in _tables()["ties"])


def load_doublets() -> tuple[Doublet, ...]:
    """Every density doublet with the limits of its ratio at 10^4 K.

    Example:
        >>> [doublet.low_density for doublet in load_doublets() if doublet.first == "SII6716"]
        [1.45]
    """
    return tuple(Doublet(**row) for row in _tables()["doublets"])


def tied_groups(names: Sequence[str]) -> tuple[Tie, ...]:
    """The ties of which both lines are in ``names``.

    Example:
        >>> [tie.weak for tie in tied_groups(["NII6548", "NII6583", "OIII5007"])]
        ['NII6548']
    """
    present = set(names)
    return tuple(tie for tie in load_ties() if {tie.strong, tie.weak} <= present)


def amplitude_matrix(names: Sequence[str], *, tied: bool) -> np.ndarray:
    """Which lines each independent amplitude feeds.

    Fluxes of the lines = template amplitudes @ matrix. Free: the identity. Tied: one template
    for each doublet of constant ratio, with weight 1 on the strong and 1 / ratio on the weak
    line; every other line has its own.

    Args:
        names: L lines, without repeats.
        tied: fix the constant ratios.

    Returns:
        (template, line), templates in the order of their (strong) lines.

    Example:
        >>> amplitude_matrix(["NII6548", "HALPHA6563", "NII6583"], tied=True).round(3)
        array([[0.   , 1.   , 0.   ],
               [0.328, 0.   , 1.   ]])
    """
    if len(set(names)) != len(names):
        raise UsageError(f"a line is named twice in {', '.join(names)}")
    matrix = np.eye(len(names))
    if not tied:
        return matrix
    position = {name: i for i, name in enumerate(names)}
    ties = tied_groups(names)
    for tie in ties:
        matrix[position[tie.strong], position[tie.weak]] = 1.0 / tie.ratio
    return np.delete(matrix, [position[tie.weak] for tie in ties], axis=0)


def standard_ratios(names: Sequence[str]) -> list[tuple[str, str]]:
    """The ratios to report: (numerator, denominator) with both lines in ``names``.

    Example:
        >>> standard_ratios(["HALPHA6563", "NII6583"])
        [('NII6583', 'HALPHA6563')]
    """
    present = set(names)
    return [(top, bottom) for top, bottom in _tables()["ratios"] if {top, bottom} <= present]


def kinematic_groups(names: Sequence[str], ties: str, *, known: Sequence[str] = ()) -> np.ndarray:
    """Which lines share velocity and broadening.

    Args:
        names: L fitted lines.
        ties: ``all``, or groups separated by semicolons with lines separated by commas
            (``HALPHA6563,HBETA4861;OIII5007,OIII4959``); lines not named form one more group.
        known: names that are no mistake although they are not fitted (beside the built-in
            lines): those of a user's catalogue that fall outside the band.

    Returns:
        (L,) int: group of each line, 0, 1, 2 ... without gaps, in the order of the option;
        groups without a fitted line are left out.

    Raises:
        UsageError: a line is unknown, or in two groups, or a group is empty.

    Example:
        >>> kinematic_groups(["HALPHA6563", "NII6583", "OIII5007"], "NII6583,OIII5007")
        array([1, 0, 0])
    """
    groups = [] if ties.strip().casefold() == "all" else _parse_groups(ties)
    _check_known([name for group in groups for name in group], names, known)
    labels = np.full(len(names), len(groups))
    for i, name in enumerate(names):
        for g, group in enumerate(groups):
            if name.casefold() in group:
                labels[i] = g
    return np.unique(labels, return_inverse=True)[1].astype(int)


def _parse_groups(ties: str) -> list[list[str]]:
    groups = [
        [name.strip().casefold() for name in part.split(",") if name.strip()]
        for part in ties.split(";")
    ]
    if not all(groups):
        raise UsageError(
            f"ties {ties!r} has an empty group; write all, or groups such as "
            "HALPHA6563,HBETA4861;OIII5007,OIII4959"
        )
    named = [name for group in groups for name in group]
    repeated = sorted({name.upper() for name in named if named.count(name) > 1})
    if repeated:
        raise UsageError(f"ties names a line more than once: {', '.join(repeated)}")
    return groups


def _check_known(named: list[str], names: Sequence[str], known: Sequence[str]) -> None:
    from nebulines.lines.catalogue import load_catalogue

    if not named:
        return
    everything = {name.casefold(): name for name in (*load_catalogue().names, *names, *known)}
    for name in named:
        if name not in everything:
            close = difflib.get_close_matches(name, everything, n=4, cutoff=0.5)
            hint = ", ".join(everything[match] for match in close)
            raise UsageError(
                f"ties names an unknown line {name.upper()!r}"
                + (f": did you mean {hint}?" if hint else "; write all, or names of lines")
            )

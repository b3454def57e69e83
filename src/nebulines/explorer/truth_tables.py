"""The truth of simulated galaxies, as ``nebulines simulate galaxies-...`` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nebulines.errors import InputError
from nebulines.explorer.galaxies import Column
from nebulines.fitting.result import Result
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.synthetic.truth_files import truth_path

_COLUMNS = {
    "log_mass": ("log stellar mass formed", "M☉"),
    "log_sfr": ("log star-formation rate", "M☉/yr"),
    "oxygen_abundance": ("12 + log(O/H)", ""),
    "av": ("A_V, diffuse dust", "mag"),
    "d4000": ("D4000", ""),
    "stellar_dispersion": ("velocity dispersion", "km/s"),
    "snr": ("signal to noise", ""),
}


class Truth(NamedTuple):
    """What is known of n simulated galaxies.

    Attributes:
        widths: (n, 10) [Angstrom].
        broadening_kms: (n,) of the gas.
        columns: class and numbers.
    """

    widths: np.ndarray
    broadening_kms: np.ndarray
    columns: list[Column]


def read_truth(path: Path, n: int) -> Truth | None:
    """The truth beside a file of mock galaxies, ``NAME_TRUTH.fits``; None without one, or where it
    knows no widths.

    Raises:
        InputError: it has another number of rows.
    """
    file = truth_path(path)
    if not file.is_file():
        return None
    result = Result.read(file)
    if "HALPHA6563_ew" not in result:
        return None
    if len(result) != n:
        raise InputError(
            f"{file} has {len(result)} rows for {n} spectra: it is the truth of another file; "
            "move it away"
        )
    return Truth(_widths(result), np.asarray(result["broadening"], float), _columns(result))


def _widths(result: Result) -> np.ndarray:
    """The ten widths; [O II] is the sum of both lines."""
    parts = {name: [f"{name}_ew"] for name in LINES}
    parts["OII3727"] = ["OII3726_ew", "OII3729_ew"]
    missing = np.full(len(result), np.nan)
    return np.stack(
        [
            np.sum([result.columns.get(c, missing) for c in names], axis=0)
            for names in parts.values()
        ],
        axis=1,
    )


def _columns(result: Result) -> list[Column]:
    found = []
    if "class_number" in result and "CLASSES" in result.meta:
        names = tuple(json.loads(result.meta["CLASSES"]))
        found.append(Column("kind", "class", result["class_number"].astype(int), names=names))
    for name, (label, unit) in _COLUMNS.items():
        if name in result:
            found.append(Column(name, label, np.asarray(result[name], float), unit))
    return found

"""Published line lists of real nebulae, and what is said of them here.

The examples of NEAT (Wesson et al. 2012, MNRAS 422, 3516): wavelength, flux and error of every
line, the kind of nebula in the first line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.learn_regions import line_names
from nebulines.fitting.result import Result
from nebulines.nebular.extinction import vacuum_wavelength
from nebulines.nebular.interpret import interpret
from nebulines.nebular.regions import Classified, classify

_KINDS = {"extragalactic hii region": "hii", "galactic hii region": "hii", "lmc hii region": "hii"}
_KINDS |= {"smc hii region": "hii", "galactic planetary nebula": "pn"}
_KINDS |= {"galactic wr nebula": "wr", "lmc wr nebula": "wr"}
_REPEATED = {"ngc6543_2cols", "ngc6543_4cols", "ngc7009_cels"}
"""Second lists of one nebula."""
_ERROR = 0.1
"""Relative error of fluxes that are published without one."""
_TEMPERATURE = ("OIII4363", "OIII4959")
"""Lines that a temperature needs, beside those of the classes."""
_OXYGEN = ("OII", "OII3726", "OII3729")
_TOLERANCE = 1.3
"""How far [Angstrom] a listed wavelength may lie from the line's."""


class Listed(NamedTuple):
    """A published list: name, kind, fluxes and errors by line."""

    name: str
    kind: str
    fluxes: dict[str, float]
    errors: dict[str, float]


def read_lists(folder: Path) -> Iterator[Listed]:
    """The published lists whose kind the first line tells; columns wavelength, flux, error."""
    for path in sorted(folder.glob("*.dat")):
        text = path.read_text(encoding="utf-8", errors="replace")
        kind = _KINDS.get(text.splitlines()[0].lstrip("# ").strip().casefold())
        if kind and path.stem not in _REPEATED:
            yield Listed(path.stem, kind, *_lines_of(text))


def _lines_of(text: str) -> tuple[dict[str, float], dict[str, float]]:
    rows = [re.findall(r"[-+\d.Ee]+", line) for line in text.splitlines() if line[:1] != "#"]
    numbers = np.array(
        [
            [
                float(row[0]),
                float(row[1]),
                float(row[2]) if len(row) == 3 else _ERROR * float(row[1]),
            ]
            for row in rows
            if len(row) in (2, 3)
        ]
    )
    names = (*line_names(), *_TEMPERATURE)
    wanted = {name: vacuum_wavelength(name) / 1.000277 for name in names}
    wanted |= {"OII": 3727.0}
    fluxes: dict[str, float] = {}
    errors: dict[str, float] = {}
    for name, wave in wanted.items():
        near = np.abs(numbers[:, 0] - wave)
        if near.min() < (0.15 if name in _OXYGEN else _TOLERANCE):
            row = numbers[near.argmin()]
            fluxes[name], errors[name] = row[1], max(row[2], 0.02 * abs(row[1]))
    if {"OII3726", "OII3729"} <= fluxes.keys():
        fluxes.pop("OII", None)
        errors.pop("OII", None)
    return fluxes, errors


def classify_list(one: Listed, *, without: tuple[str, ...] = ()) -> Classified:
    """One published nebula, some lines of it left out; dereddened lists have a decrement of case
    B, others are corrected."""
    known = ({"OII", *line_names()} & one.fluxes.keys()) - set(without)
    fluxes = {name: np.array([one.fluxes[name]]) for name in known}
    errors = {name: np.array([one.errors[name]]) for name in known}
    return classify(fluxes, errors)


def published_temperatures() -> dict[str, tuple[float, str]]:
    """Temperature [K] from [O III] of each published nebula, and its source."""
    path = Path(__file__).parent / "published_nebulae.toml"
    groups = tomllib.loads(path.read_text(encoding="utf-8"))["nebula"]
    return {
        name: (value, group["source"])
        for group in groups
        for name, value in group["temperature"].items()
    }


def physics_of(one: Listed) -> dict[str, float]:
    """What `nebulines classify` says of a published list."""
    columns = {f"{name}_flux": np.array([flux]) for name, flux in one.fluxes.items()}
    columns |= {f"{name}_flux_err": np.array([error]) for name, error in one.errors.items()}
    found = interpret(Result(columns))
    nothing = np.full(1, np.nan)
    return {
        name: float(found.columns.get(name, nothing)[0])
        for name in ("ebv", "electron_temperature", "electron_temperature_err",
                     "electron_density", "oxygen_abundance", "bpt_nii", "region_class")
    }  # fmt: skip

"""The emission lines that nebulines knows: names and rest wavelengths, from tables."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.lines.user_table import LineRow, read_rows
from nebulines.spectral_axis import Medium


@dataclass(frozen=True)
class LineCatalogue:
    """Emission lines in order of wavelength.

    Attributes:
        names: L stable identifiers, such as ``HALPHA6563``.
        wavelength_air: (L,) rest wavelengths in standard air [Angstrom].
        wavelength_vacuum: (L,) rest wavelengths in vacuum [Angstrom].
        species: L ions, such as ``[N II]``.
        labels: L texts for figures (mathtext).
        default: (L,) bool, fitted when the user names no line.
        groups: L families: balmer, paschen, helium, permitted, forbidden neutral,
            forbidden low ionisation, forbidden high ionisation, user.

    Example:
        >>> lines = load_catalogue().select(["NII6583", "HALPHA6563"])
        >>> lines.names, lines.wavelength("air")
        (('NII6583', 'HALPHA6563'), array([6583.45, 6562.8 ]))
    """

    names: tuple[str, ...]
    wavelength_air: np.ndarray
    wavelength_vacuum: np.ndarray
    species: tuple[str, ...]
    labels: tuple[str, ...]
    default: np.ndarray
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, kind in (
            ("wavelength_air", float),
            ("wavelength_vacuum", float),
            ("default", bool),
        ):
            array = np.array(getattr(self, name), kind)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        lengths = {len(getattr(self, name)) for name in self.__dataclass_fields__}
        if lengths != {len(self.names)}:
            raise UsageError(f"the columns of a line catalogue differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.names)

    def wavelength(self, medium: Medium) -> np.ndarray:
        """Rest wavelengths (L,) [Angstrom] in ``air`` or ``vacuum``."""
        if medium == "air":
            return self.wavelength_air
        if medium == "vacuum":
            return self.wavelength_vacuum
        raise UsageError(f"medium must be air or vacuum, not {medium!r}")

    def index(self, name: str) -> int:
        """Position of a line; upper and lower case are the same.

        Raises:
            UsageError: no such line; the message lists the closest names.
        """
        folded = [known.casefold() for known in self.names]
        try:
            return folded.index(name.casefold())
        except ValueError:
            close = difflib.get_close_matches(name.upper(), self.names, n=4, cutoff=0.5)
            hint = f"did you mean {', '.join(close)}?" if close else "'nebulines lines' lists them"
            raise UsageError(f"unknown line {name!r}: {hint}") from None

    def label(self, name: str) -> str:
        """Text for figures of one line.

        Example:
            >>> load_catalogue().label("NII6583")
            '[N II] 6583'
        """
        return self.labels[self.index(name)]

    def select(self, names: Iterable[str]) -> LineCatalogue:
        """The named lines, in the order given, each once."""
        if isinstance(names, str):
            raise UsageError(f"select needs a sequence of names, for example [{names!r}]")
        return self._take(list(dict.fromkeys(self.index(name) for name in names)))

    def defaults(self) -> LineCatalogue:
        """The lines fitted when the user names none."""
        return self._take(np.flatnonzero(self.default))

    def observed_in(
        self,
        low: float,
        high: float,
        *,
        redshift: float = 0.0,
        medium: Medium = "air",
        margin_kms: float = 0.0,
    ) -> LineCatalogue:
        """Lines that a source at ``redshift`` shows between two observed wavelengths.

        A line is kept when rest (1 + z) lies in [low, high] and stays there if it moves by
        ``margin_kms`` either way.

        Args:
            low, high: observed wavelengths [Angstrom] in ``medium``.
            redshift: of the source.
            medium: ``air`` or ``vacuum``.
            margin_kms: distance to keep from both ends [km/s]; negative to reach beyond them.

        Example:
            >>> load_catalogue().defaults().observed_in(6480.0, 6850.0).names
            ('NII6548', 'HALPHA6563', 'NII6583', 'SII6716', 'SII6731')
        """
        if not low < high:
            raise UsageError(f"the band must go from low to high wavelength, not {low} to {high}")
        observed = self.wavelength(medium) * (1.0 + redshift)
        shift = margin_kms / SPEED_OF_LIGHT_KMS
        inside = (observed * (1.0 - shift) >= low) & (observed * (1.0 + shift) <= high)
        return self._take(np.flatnonzero(inside))

    def _take(self, index: Iterable[int]) -> LineCatalogue:
        rows = [int(i) for i in index]
        return LineCatalogue(
            names=tuple(self.names[i] for i in rows),
            wavelength_air=self.wavelength_air[rows],
            wavelength_vacuum=self.wavelength_vacuum[rows],
            species=tuple(self.species[i] for i in rows),
            labels=tuple(self.labels[i] for i in rows),
            default=self.default[rows],
            groups=tuple(self.groups[i] for i in rows),
        )


def load_catalogue(path: str | Path | None = None) -> LineCatalogue:
    """The built-in lines, with those of a user's file replacing or joining them.

    Args:
        path: None, or a table that astropy reads (ECSV, CSV, FITS) with ``name`` and
            ``wavelength_air`` or ``wavelength_vacuum`` (Angstrom where no unit is given), and
            optionally ``species``, ``label``, ``default``, ``group``. A name that is built in
            replaces that line; other names are added and fitted by default.

    Returns:
        `LineCatalogue` in order of air wavelength.

    Raises:
        UsageError: the file is unreadable, lacks a column, or holds an impossible line.

    Example:
        >>> len(load_catalogue()) > 60
        True
    """
    builtin = _builtin()
    if path is None:
        return builtin
    return merged(builtin, read_rows(path))


def merged(catalogue: LineCatalogue, rows: list[LineRow]) -> LineCatalogue:
    """Replace the lines of the same name (any case), add the others, sort by air wavelength."""
    known = {name.casefold(): i for i, name in enumerate(catalogue.names)}
    records: dict[str, tuple[Any, ...]] = {
        name: _record(catalogue, i) for i, name in enumerate(catalogue.names)
    }
    for row in rows:
        index = known.get(row.name.casefold())
        if index is None:
            old: tuple[Any, ...] = (row.name, 0.0, 0.0, "", row.name, True, "user")
        else:
            old = _record(catalogue, index)
        new = (old[0], row.wavelength_air, row.wavelength_vacuum)
        told = (row.species, row.label, row.default, row.group)
        records[old[0]] = new + tuple(
            o if t is None else t for o, t in zip(old[3:], told, strict=True)
        )
    return LineCatalogue(*map(_column, zip(*sorted(records.values(), key=_air), strict=True)))


def _air(record: tuple[Any, ...]) -> float:
    return record[1]


def _record(catalogue: LineCatalogue, index: int) -> tuple[Any, ...]:
    return tuple(getattr(catalogue, name)[index] for name in catalogue.__dataclass_fields__)


def _column(values: tuple[Any, ...]) -> Any:
    return values if isinstance(values[0], str) else np.array(values)


@functools.cache
def _builtin() -> LineCatalogue:
    from astropy.table import Table

    table = Table.read(Path(__file__).parent / "data" / "lines.ecsv", format="ascii.ecsv")
    return LineCatalogue(
        names=tuple(map(str, table["name"])),
        wavelength_air=np.asarray(table["wavelength_air"]),
        wavelength_vacuum=np.asarray(table["wavelength_vacuum"]),
        species=tuple(map(str, table["species"])),
        labels=tuple(map(str, table["label"])),
        default=np.asarray(table["default"]),
        groups=tuple(map(str, table["group"])),
    )

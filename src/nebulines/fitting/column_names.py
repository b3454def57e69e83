"""Names of columns: what they say, and the names of the maps that show them.

One rule turns the name of a column into that of a map: species shortened and wavelength cut to
whole Angstroms as PHANGS does, ``HALPHA6563_flux`` -> ``HA6562_FLUX``, ``velocity`` ->
``HA6562_VEL`` for every line.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

# quantity -> (suffix of the map, unit, description); FLUX and LINE stand for the unit of the
# data and for that unit times Angstrom
_QUANTITIES = {
    "velocity": ("VEL", "km s-1", "line-of-sight velocity relative to the redshift"),
    "broadening": ("SIGMA", "km s-1", "intrinsic Gaussian 1-sigma width, instrument removed"),
    "flux": ("FLUX", "LINE", "flux integrated over wavelength"),
    "flux_limit": ("FLUX_LIMIT", "LINE", "3-sigma upper limit of the flux"),
    "amplitude": ("AMPLITUDE", "FLUX", "peak above the continuum"),
    "continuum": ("CONTINUUM", "FLUX", "continuum at the lines"),
    "noise": ("NOISE", "FLUX", "1-sigma noise of a channel"),
    "ratio": ("RATIO", "", "flux ratio"),
    "chi2": ("CHI2", "", "reduced chi-squared"),
    "snr": ("SNR", "", "signal-to-noise ratio of the brightest line"),
    "n_components": ("NCOMP", "", "number of velocity components fitted"),
    "ebv": ("EBV", "mag", "colour excess E(B-V) of the nebula"),
    "electron_density": ("ELECTRON_DENSITY", "cm-3", "electron density"),
    "electron_temperature": ("ELECTRON_TEMPERATURE", "K", "electron temperature"),
    "oxygen_abundance": ("OXYGEN_ABUNDANCE", "", "12 + log10(O/H)"),
    "nebular_quality": ("NEBULAR_QUALITY", "", "quality bits; meaning of each in NBITn"),
    "log_u": ("LOG_U", "", "log10 of the ionisation parameter"),
    "bpt_nii": ("BPT_NII", "", "class in [NII]/Ha and [OIII]/Hb; numbers in NEBBPT"),
    "bpt_sii": ("BPT_SII", "", "class in [SII]/Ha and [OIII]/Hb; numbers in NEBBPT"),
    "bpt_oi": ("BPT_OI", "", "class in [OI]/Ha and [OIII]/Hb; numbers in NEBBPT"),
    "bpt": ("BPT", "", "class in all BPT diagrams; numbers in NEBBPT"),
    "p_hii": ("P_HII", "", "probability of an H II region"),
    "p_pn": ("P_PN", "", "probability of a planetary nebula"),
    "p_shock": ("P_SHOCK", "", "probability of shocked gas"),
    "p_dig": ("P_DIG", "", "probability of diffuse ionised gas"),
    "p_agn": ("P_AGN", "", "probability of an active nucleus"),
    "region_class": ("REGION_CLASS", "", "most probable class; numbers in NEBCLASS"),
    "redshift": ("REDSHIFT", "", "redshift that velocities are relative to"),
    "ew": ("EW", "Angstrom", "equivalent width in the rest frame, positive in emission"),
    "stellar_velocity": ("STELLAR_VEL", "km s-1", "velocity of the stars relative to the redshift"),
    "stellar_dispersion": ("STELLAR_SIGMA", "km s-1", "velocity dispersion of the stars, 1-sigma"),
    "stellar_ebv": ("STELLAR_EBV", "mag", "colour excess E(B-V) of the stars"),
    "stellar_chi2": ("STELLAR_CHI2", "", "reduced chi-squared of the starlight"),
    "flags": ("MASK", "", "quality bits, 0 is good; meaning of each bit in BITn"),
    "binid": ("BINID", "", "bin that the spaxel belongs to, -1 where nothing was fitted"),
    "y": ("Y", "", "row of the spaxel, counted from 0"),
    "x": ("X", "", "column of the spaxel, counted from 0"),
    "ra": ("RA", "deg", "right ascension of the spaxel's centre"),
    "dec": ("DEC", "deg", "declination of the spaxel's centre"),
}
_SPECIES = {"HALPHA": "HA", "HBETA": "HB", "HGAMMA": "HG", "HDELTA": "HD"}
_NAME = re.compile(
    r"(?:(?P<line>.+?)_)?(?:(?P<k>[2-9])_)?(?P<quantity>"
    + "|".join(sorted(_QUANTITIES, key=len, reverse=True))
    + r")(?:_(?P<k_after>[2-9]))?(?:_group(?P<group>[2-9]))?(?P<error>_err)?"
)


class ColumnName(NamedTuple):
    """A column's name taken apart: ``NII6583_2_flux_err`` is the error of the flux of line
    NII6583 in component 2; ``velocity_group2`` is the velocity of the second group of tied
    lines; ``line`` of a ratio is both lines, ``NII6583_HALPHA6563``."""

    line: str | None
    component: int
    quantity: str | None
    error: bool
    group: int = 1


def parse(column: str) -> ColumnName:
    """Take a column's name apart; ``quantity`` is None where the name is unknown.

    Example:
        >>> parse("NII6583_2_flux_err")
        ColumnName(line='NII6583', component=2, quantity='flux', error=True, group=1)
    """
    if column.startswith("ratio_"):
        return ColumnName(column[6:].removesuffix("_err"), 1, "ratio", column.endswith("_err"))
    if column.removesuffix("_err") in _QUANTITIES:
        return ColumnName(None, 1, column.removesuffix("_err"), column.endswith("_err"))
    match = _NAME.fullmatch(column)
    if not match:
        return ColumnName(None, 1, None, False)
    component = int(match["k"] or match["k_after"] or 1)
    group, error = int(match["group"] or 1), bool(match["error"])
    return ColumnName(match["line"], component, match["quantity"], error, group)


def describe(column: str, flux_unit: str = "") -> tuple[str, str]:
    """Unit (FITS string, empty for none) and description of a column.

    Args:
        column: name of the column.
        flux_unit: FITS unit string of the data; a line's flux is in this unit times Angstrom.

    Example:
        >>> describe("NII6583_flux_err", "erg s-1 cm-2 Angstrom-1")
        ('erg s-1 cm-2', '1-sigma error: flux integrated over wavelength, NII6583')
    """
    name = parse(column)
    if name.quantity is None:
        return "", ""
    _, unit, text = _QUANTITIES[name.quantity]
    if follows_flux(column):
        unit = _unit(flux_unit, per_angstrom=unit == "FLUX")
    lines = name.line and (name.line.replace("_", " / ") if name.quantity == "ratio" else name.line)
    parts = [text, lines, f"component {name.component}" if name.component > 1 else None]
    parts.append(f"group {name.group} of tied lines" if name.group > 1 else None)
    return unit, ("1-sigma error: " if name.error else "") + ", ".join(p for p in parts if p)


def follows_flux(column: str) -> bool:
    """Whether a column grows with the fluxes of a spectrum.

    Example:
        >>> follows_flux("NII6583_flux_err"), follows_flux("continuum"), follows_flux("velocity")
        (True, True, False)
    """
    quantity = parse(column).quantity
    return quantity is not None and _QUANTITIES[quantity][1] in ("FLUX", "LINE")


def _unit(flux_unit: str, *, per_angstrom: bool) -> str:
    """The data's unit, or that unit times Angstrom, in FITS spelling."""
    from astropy import units as u

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        unit = u.Unit(flux_unit, parse_strict="silent")
    if isinstance(unit, u.UnrecognizedUnit):
        return flux_unit if per_angstrom else f"{flux_unit} Angstrom"
    try:
        return (unit if per_angstrom else unit * u.Angstrom).to_string("fits")
    except u.UnitScaleError:
        return flux_unit if per_angstrom else ""


def map_names(
    columns: Iterable[str],
    wavelengths: Mapping[str, float],
    groups: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """Names of the maps and the column that each one shows.

    A line is called by its species (HALPHA -> HA) and the whole Angstroms of its rest
    wavelength in air; velocity and broadening are repeated for every line of their group.

    Args:
        columns: names of the columns.
        wavelengths: rest wavelength in air [Angstrom] of each line; a line that is missing
            keeps its name.
        groups: kinematic group of each line, from 1; a line that is missing is in group 1.

    Example:
        >>> columns = ["velocity", "OIII5007_flux", "chi2", "flags"]
        >>> list(map_names(columns, {"OIII5007": 5006.84}))
        ['OIII5006_FLUX', 'OIII5006_VEL', 'CHI2', 'MASK']
    """
    parsed = {column: parse(column) for column in columns}
    names: dict[str, str] = {}
    for flux in [n for n in parsed.values() if n.quantity == "flux" and not n.error]:
        line = flux.line or ""
        label = _label(line, wavelengths) + _component(flux)
        for column, n in sorted(parsed.items(), key=lambda item: item[1].line is None):
            shared = n.line is None and n.quantity in ("velocity", "broadening")
            shared &= n.group == (groups or {}).get(line, 1)
            if (n.line == line or shared) and n.component == flux.component:
                names[f"{label}_{_suffix(n)}"] = column
    shown = set(names.values())
    names |= {_plain(c, n, wavelengths): c for c, n in parsed.items() if c not in shown}
    last = {"flags": 1, "binid": 2}
    return dict(sorted(names.items(), key=lambda item: last.get(item[1], 0)))


def _component(name: ColumnName) -> str:
    return f"_{name.component}" if name.component > 1 else ""


def _label(line: str, wavelengths: Mapping[str, float]) -> str:
    if line not in wavelengths:
        return line.upper()
    species = re.sub(r"\d+$", "", line)
    return f"{_SPECIES.get(species, species)}{int(wavelengths[line])}".upper()


def _suffix(name: ColumnName) -> str:
    return _QUANTITIES[name.quantity or ""][0] + ("_ERR" if name.error else "")


def _plain(column: str, name: ColumnName, wavelengths: Mapping[str, float]) -> str:
    """Name of a map that belongs to no single line."""
    if name.quantity is None:
        return column.upper()
    if name.quantity == "ratio":
        lines = "_".join(_label(part, wavelengths) for part in (name.line or "").split("_"))
        return f"RATIO_{lines}" + ("_ERR" if name.error else "")
    line = f"{_label(name.line, wavelengths)}_" if name.line else ""
    group = f"_GROUP{name.group}" if name.group > 1 else ""
    return f"{line}{_suffix(name)}{_component(name)}{group}"


def map_columns(columns: Iterable[str], meta: Mapping[str, Any]) -> dict[str, str]:
    """`map_names` with the wavelengths (``LINES``) and groups (``LINEGRP``) of the metadata."""
    return map_names(
        columns, json.loads(meta.get("LINES", "{}")), json.loads(meta.get("LINEGRP", "{}"))
    )


def line_names(columns: Iterable[str]) -> list[str]:
    """Lines that have a flux among the columns, in order.

    Example:
        >>> line_names(["velocity", "NII6583_flux", "NII6583_flux_err"])
        ['NII6583']
    """
    parsed = [parse(column) for column in columns]
    return [n.line for n in parsed if n.line and n[1:4] == (1, "flux", False)]

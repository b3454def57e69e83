"""Populations in files: row-stacked spectra, and what ``nebulines paint`` writes.

Table ``LINES``, one row a spectrum: ``EW_NAME`` (predicted, as `paint` writes it),
``EW_NAME_observed`` with ``EW_NAME_observed_err`` (measured), ``EW_NAME_noisy`` (drawn),
[Angstrom, rest frame, positive in emission]. What is missing of the last two kinds is left out;
predictions that are missing come from the network of the package. The truth of mock galaxies
is read from ``NAME_TRUTH.fits`` beside them. Numbers in the table ``SPECTRA`` become columns, and
one of ``id``, ``targetid``, ``name`` names the galaxies.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.explorer.galaxies import (
    VARIANTS,
    Column,
    Population,
    basic_columns,
    continua,
    continuum_plane,
    latent_plane,
)
from nebulines.explorer.predictions import predicted_widths
from nebulines.explorer.rest_frame import grid_mask, rest_blocks, source_of, without_lines
from nebulines.explorer.truth_tables import Truth, read_truth
from nebulines.galaxies.widths.bins import require_coverage
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.io import read
from nebulines.spectra import Spectra

_NAMES = ("id", "targetid", "name")
_MOST_COLUMNS = 12
_BROADENING = 100.0  # km/s, as `paint` does without being told


class Tables(NamedTuple):
    """What stands beside the spectra.

    Attributes:
        widths: kind -> (n, 10) [Angstrom].
        errors: (n, 10) of the observed widths, or None.
        drawn: the predicted widths are draws.
        broadening_kms: of painted lines.
        columns: numbers of each galaxy.
        ids: names of the galaxies, or None.
    """

    widths: dict[str, np.ndarray]
    errors: np.ndarray | None
    drawn: bool
    broadening_kms: Any
    columns: list[Column]
    ids: list[str] | None


def read_population(
    path: Path, *, frame: str | None = None, seed: int = 0, latent: bool = False
) -> Population:
    """A population from a file.

    Args:
        path: row-stacked spectra, with or without the table ``LINES``.
        frame: ``rest`` or ``observed``, for files with redshifts.
        seed: of the draws of predicted widths.
        latent: add the plane of the network's latent space (needs umap-learn).

    Raises:
        InputError: no population, no spectra, no usable widths, or spectra that do not reach
            from 3400 to 7000 Angstrom.
        UsageError: a cube.
    """
    from nebulines.galaxies.widths.predictors import default_predictor

    spectra = read(path)
    if not isinstance(spectra, Spectra):
        raise UsageError(
            f"{path} is a cube, and the explorer shows what was measured in one: run 'nebulines "
            "fit' and give its OUT_MAPS.fits"
        )
    if not len(spectra):
        raise InputError(f"{path} holds no spectrum: there is nothing to show")
    source = source_of(spectra, frame)
    require_coverage(source.wavelength)
    tables = with_truth(read_tables(path, len(spectra)), read_truth(path, len(spectra)))
    mask = grid_mask()
    small, colours = continua(without_lines(block, mask) for block in rest_blocks(source))
    predictor = default_predictor()
    own = predicted_widths(predictor.network, colours, seed=seed, errors=tables.errors)
    widths = _complete(tables, own)
    planes = [continuum_plane(colours)]
    if latent:
        planes.append(latent_plane(predictor.network, colours, seed=seed))
    return Population(
        small,
        colours,
        widths,
        planes,
        [*basic_columns(colours, widths, tables.errors), *tables.columns],
        broadening_kms=tables.broadening_kms,
        ids=tables.ids,
        unit=spectra.unit,
        title=path.name,
        about=_about(path, tables, predictor.card, small.loss),
    )


def _complete(tables: Tables, own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Widths of the file, completed by those of the network, in the order of the page."""
    known = dict(tables.widths)
    if tables.drawn and "noisy" not in known and "predicted" in known:
        known["noisy"] = known.pop("predicted")
    found = {**own, **known}
    return {kind: found[kind] for kind in VARIANTS if kind in found}


def with_truth(tables: Tables, truth: Truth | None) -> Tables:
    """The tables with what is known of simulated galaxies."""
    if truth is None:
        return tables
    return tables._replace(
        widths={"true": truth.widths, **tables.widths},
        broadening_kms=truth.broadening_kms,
        columns=[*truth.columns, *tables.columns],
    )


def read_tables(path: Path, n: int) -> Tables:
    """The tables LINES and SPECTRA of a file.

    Raises:
        InputError: LINES has another length or none of the columns ``EW_NAME``.
    """
    from astropy.io import fits

    with fits.open(path, memmap=False) as hdus:
        lines = hdus["LINES"] if "LINES" in hdus else None  # noqa: SIM401
        widths, errors = ({}, None) if lines is None else _widths(path, lines.data, n)
        header = {} if lines is None else lines.header
        drawn = bool(header.get("SCATTER", False))
        broadening = float(header.get("BROADEN", _BROADENING))
        columns, ids = _columns(hdus["SPECTRA"].data if "SPECTRA" in hdus else None, n)
    return Tables(widths, errors, drawn, broadening, columns, ids)


def _widths(path: Path, table: Any, n: int) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    if len(table) != n:
        raise InputError(
            f"{path}: the table LINES has {len(table)} rows for {n} spectra: give one a spectrum"
        )
    kinds = {"observed": "_observed", "predicted": "", "noisy": "_noisy"}
    found = {kind: _ten(table, suffix, n) for kind, suffix in kinds.items()}
    known = {kind: values for kind, values in found.items() if values is not None}
    if not known:
        raise InputError(
            f"{path}: no lines: the table LINES has none of the columns EW_{LINES[0]} ... "
            f"EW_{LINES[-1]} (nor EW_..._observed), but {', '.join(table.names)}: write widths "
            "with 'nebulines paint', or leave the table out to have them predicted"
        )
    return known, _ten(table, "_observed_err", n)


def _ten(table: Any, suffix: str, n: int) -> np.ndarray | None:
    """Columns EW_NAME + suffix (n, 10), NaN where one is missing; None where all are."""
    names = {name.upper(): name for name in table.names}
    wanted = [names.get(f"EW_{line}{suffix}".upper()) for line in LINES]
    if not any(wanted):
        return None
    return np.stack(
        [np.asarray(table[name], float) if name else np.full(n, np.nan) for name in wanted], axis=1
    )


def _columns(table: Any, n: int) -> tuple[list[Column], list[str] | None]:
    """Numbers and names of the table SPECTRA."""
    if table is None or len(table) != n:
        return [], None
    named = next((name for name in table.names if name.lower() in _NAMES), None)
    ids = None if named is None else [str(value).strip() for value in table[named]]
    columns = []
    for name in table.names:
        values = np.asarray(table[name])
        if values.ndim == 1 and values.dtype.kind in "fiu" and name != named:
            label = name.lower().replace("_", " ")
            columns.append(Column(name.lower(), label, values.astype(float)))
    return columns[:_MOST_COLUMNS], ids


def _about(path: Path, tables: Tables, card: Mapping[str, Any], loss: float) -> dict[str, str]:
    network = f"by the network {card['name']} from eleven colours of the continuum"
    given = "from the file"
    drawn = tables.drawn or "noisy" in tables.widths
    noise = ", with the errors of the observed widths" if tables.errors is not None else ""
    about = {
        "file": path.name,
        "predicted": given if "predicted" in tables.widths and not tables.drawn else network,
        "predicted + noise": given if drawn else f"drawn {network}{noise}",
        "spectra": "emission lines replaced by straight lines; principal components, which "
        f"leave out {100 * loss:.2g} % rms (noise included)",
    }
    known = {"observed": given, "true": "from the file _TRUTH.fits beside it"}
    return {**about, **{kind: text for kind, text in known.items() if kind in tables.widths}}

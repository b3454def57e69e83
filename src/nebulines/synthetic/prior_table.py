"""Line ratios out of a user's table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nebulines.errors import UsageError
from nebulines.lines import load_catalogue, load_ties

_JITTER_DEX = 0.02


def with_ties(flux: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The fluxes with the partners of fixed ratio, where only one of the two lines is there.

    Example:
        >>> sorted(with_ties({"NII6583": np.ones(1)}))
        ['NII6548', 'NII6583']
    """
    for tie in load_ties():
        if tie.strong in flux and tie.weak not in flux:
            flux[tie.weak] = flux[tie.strong] / tie.ratio
        elif tie.weak in flux and tie.strong not in flux:
            flux[tie.strong] = flux[tie.weak] * tie.ratio
    return flux


def draw_rows(
    generator: np.random.Generator,
    path: str,
    names: Sequence[str],
    n: int,
) -> dict[str, np.ndarray]:
    """Rows of a user's table with a jitter of each line.

    Args:
        generator: of random numbers.
        path: ECSV, CSV or FITS with a column a line.
        names: the lines wanted.
        n: number of sources.

    Returns:
        {name: (n,)} relative to H-alpha (to the brightest line where there is no H-alpha).

    Raises:
        UsageError: not a table, no usable row, a line that is missing.
    """
    columns = with_ties(_user_table(path))
    if missing := [name for name in names if name not in columns]:
        raise UsageError(
            f"the prior {path} has no column for {', '.join(missing)}; it has "
            f"{', '.join(columns)}: add the columns, or name the lines to simulate"
        )
    flux = np.stack([columns[name] for name in names], axis=1)
    scale = columns.get("HALPHA6563", flux.max(axis=1))
    rows = generator.integers(0, len(flux), n)
    jitter = 10.0 ** generator.normal(0.0, _JITTER_DEX, (n, len(names)))
    drawn = dict(zip(names, ((flux / scale[:, None])[rows] * jitter).T, strict=True))
    if "HALPHA6563" in drawn:
        drawn["HALPHA6563"] = np.ones(n)
    return drawn


def _user_table(path: str) -> dict[str, np.ndarray]:
    """Columns of a table whose names are lines, checked."""
    from astropy.table import Table

    try:
        table = Table.read(path)
    except Exception as error:  # astropy raises many types on a broken file
        raise UsageError(f"the prior {path} cannot be read as a table: {error}") from error
    lines = {name.casefold(): name for name in load_catalogue().names}
    named = {c: lines.get(c.removesuffix("_flux").casefold()) for c in table.colnames}
    columns: dict[str, np.ndarray] = {
        line: np.ma.asarray(table[c], float).filled(np.nan) for c, line in named.items() if line
    }
    if not columns or not len(table):
        raise UsageError(
            f"the prior {path} holds no line: expected columns such as HALPHA6563, NII6583; found "
            f"{', '.join(table.colnames)}"
        )
    good = np.all([np.isfinite(v) & (v >= 0) for v in columns.values()], axis=0)
    good &= columns.get("HALPHA6563", np.ones(len(table))) > 0
    if not good.any():
        raise UsageError(f"the prior {path} has no row whose fluxes are all finite and >= 0")
    return {name: values[good] for name, values in columns.items()}

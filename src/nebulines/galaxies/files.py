"""Painted continua on disk: the row-stacked format with a table of equivalent widths."""

from __future__ import annotations

import warnings
from os import PathLike
from typing import Any

import numpy as np

import nebulines
from nebulines.galaxies.config import PaintConfig
from nebulines.galaxies.painter import Painted
from nebulines.io.atomic import atomic_path
from nebulines.io.row_stacked import row_stacked_hdus
from nebulines.spectra import Flag, Spectra


def write_painted(
    path: str | PathLike[str],
    spectra: Spectra,
    painted: Painted,
    *,
    config: PaintConfig,
    card: dict[str, Any],
) -> None:
    """Write ``FLUX`` with the lines added, its axis, and the table ``LINES``.

    Args:
        path: the FITS file.
        spectra: with the lines added.
        painted: from the same call.
        config: what was asked for; goes to the header.
        card: of the network; its name and source go to the header.

    Raises:
        UsageError: the folder is missing or read-only.
    """
    from astropy.io import fits

    hdus = row_stacked_hdus(spectra)
    lines = fits.BinTableHDU(painted.table(), name="LINES")
    for key, value, comment in _header(config, card):
        lines.header[key] = (value, comment)
    for flag in Flag:
        if (np.asarray(painted.flags) & int(flag)).any():
            lines.header[f"FLAG{int(flag)}"] = (flag.name, flag.meaning[:40])
    with atomic_path(path) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        fits.HDUList([*hdus, lines]).writeto(partial, overwrite=True, checksum=True)


def _header(config: PaintConfig, card: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """Keywords of the table: how it came about and what its numbers mean."""
    broadening = np.asarray(config.broadening_kms, float)
    return [
        ("CREATOR", "nebulines", "program"),
        ("NEBVERS", nebulines.__version__, "version"),
        ("NETWORK", str(card.get("name", "")), "predicts the equivalent widths"),
        ("NETSRC", str(card.get("source", ""))[:60], "source of the network"),
        ("SCATTER", bool(config.scatter), "widths are draws, not medians"),
        ("SEED", int(config.seed), "of draws and noise"),
        ("BROADEN", float(np.median(broadening)), "[km/s] 1-sigma, line spread excluded"),
        ("SNR", float(config.snr or 0.0), "of added noise; 0 = none"),
        ("EWUNIT", "Angstrom", "rest frame, positive in emission"),
    ]

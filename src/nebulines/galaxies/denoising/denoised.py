"""What the verb ``denoise`` gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.galaxies.denoising.engine import Clean
from nebulines.galaxies.denoising.lines import measure_lines
from nebulines.networks.denoise.grid import LOG_STEP
from nebulines.spectra import Flag, Spectra


@dataclass(frozen=True)
class Denoised:
    """De-noised spectra.

    Attributes:
        flux: (n, channel) posterior mean of the noise-free flux, in the unit and on the channels
            of the input; NaN outside the bins of the network, and in rows without an answer.
        err: (n, channel) its standard deviation.
        flags: (n,) bits of `Flag`.
        draws: (draw, n, channel) posterior draws, or None.
        spectra: the input.
        redshift: (n,) that was used.
        bins: the same on the rest-frame bins, in ``unit``; None for another network than
            ``denoise``.
        card, basis: of the network.
        unit: (n,) of ``bins``.
    """

    flux: np.ndarray
    err: np.ndarray
    flags: np.ndarray
    draws: np.ndarray | None
    spectra: Spectra
    redshift: np.ndarray
    bins: Clean | None
    card: dict[str, Any] = field(default_factory=dict)
    basis: Any = None
    unit: Any = 1.0

    @property
    def redshift_other(self) -> np.ndarray:
        """(n,) that a spectrum speaks for where BAD_REDSHIFT says that it speaks for another one,
        to a bin or two (0.0005 of 1 + z each); NaN elsewhere."""
        moved = np.zeros(len(self.flags)) if self.bins is None else self.bins.gate.evidence.moved
        told = (self.flags & Flag.BAD_REDSHIFT != 0) & (moved != 0)
        return np.where(told, (1.0 + self.redshift) * np.exp(LOG_STEP * moved) - 1.0, np.nan)

    def lines(self) -> Any:
        """Table of line fluxes [unit times Angstrom, observed frame] and rest-frame equivalent
        widths [Angstrom] with their posterior errors, the S/N that such a line has in the spectrum
        itself, ``redshift``, `redshift_other` and ``flags``.

        Raises:
            UsageError: the network gives no posterior, or no draws were asked for.
        """
        from astropy.table import Table

        if self.bins is None or self.bins.draws is None:
            raise UsageError("line fluxes need posterior draws: denoise(spectra, draws=100)")
        noise = self.bins.gate.evidence.data_error
        table = measure_lines(self.basis, self.bins.coefficients, self.bins.draws, noise)
        stretch = (1.0 + self.redshift) * self.unit
        columns = {
            name: values * stretch if "_flux" in name else values for name, values in table.items()
        }
        about = {"redshift": self.redshift, "redshift_other": self.redshift_other}
        return Table({**columns, **about, "flags": self.flags})

    def write(self, path: Any) -> None:
        """Write the row-stacked file: ``FLUX``, ``ERR``, ``FLAGS``, and ``DRAWS``, ``LINES``."""
        from nebulines.galaxies.denoising.files import write_denoised

        write_denoised(path, self)

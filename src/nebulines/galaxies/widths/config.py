"""Options of painting."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.galaxies.widths.painter import BROADENING_KMS
from nebulines.spectral_axis import Medium


@dataclass(frozen=True)
class PaintConfig:
    """Options of `paint`.

    Attributes:
        weights: path of the network's weights, or None for those of the package.
        medium: ``air`` or ``vacuum`` for arrays; `Spectra` know their own.
        broadening_kms: () or (n,) 1-sigma velocity dispersion of the gas.
        resolution: R of a Gaussian line spread; None = that of the `Spectra`, or none.
        oii_ratio: [O II] 3729 / 3726; None = 1.35.
        scatter: draw the widths from their predicted distribution instead of taking medians.
        seed: of draws and noise.
        snr: add white noise of the median continuum / snr to each channel; None = no noise.
        mask_kms: half width of the windows in which emission lines of the input are replaced
            before the colours are measured; None = the input holds stars alone.
        model_scatter: of asinh EW, added to what the network states, all lines together; None =
            0 for starlight, and what real galaxies were found to scatter by where lines are
            masked (``data/real_galaxies.toml``).
        frame: ``rest`` or ``observed``: how the wavelengths of `Spectra` with a redshift are
            meant; None refuses redshifts other than 0.
    """

    weights: str | Path | None = None
    medium: Medium = "vacuum"
    broadening_kms: Any = BROADENING_KMS
    resolution: float | None = None
    oii_ratio: float | None = None
    scatter: bool = False
    seed: int = 0
    snr: float | None = None
    mask_kms: float | None = None
    model_scatter: float | None = None
    frame: str | None = None

    def __post_init__(self) -> None:
        broadening = np.asarray(self.broadening_kms, float)
        if broadening.ndim > 1 or not np.all(broadening >= 0):
            raise UsageError("broadening must be a number or one a spectrum, zero or more [km/s]")
        for name in ("resolution", "snr"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be positive, not {value}")
        if self.model_scatter is not None and not 0 <= self.model_scatter < float("inf"):
            raise UsageError(f"model_scatter must be zero or more, not {self.model_scatter}")
        if self.frame not in (None, "rest", "observed"):
            raise UsageError(f"frame must be rest or observed, not {self.frame!r}")
        if self.medium not in ("air", "vacuum"):
            raise UsageError(f"medium must be air or vacuum, not {self.medium!r}")

    @property
    def added_scatter(self) -> float:
        """Scatter of asinh EW to add: what was asked for, or that of real galaxies."""
        if self.model_scatter is not None:
            return self.model_scatter
        return 0.0 if self.mask_kms is None else scatter_of_real_galaxies()


@functools.cache
def scatter_of_real_galaxies() -> float:
    """Standard deviation of asinh EW that real galaxies have beyond what the network states.

    Example:
        >>> 0.0 < scatter_of_real_galaxies() < 2.0
        True
    """
    path = Path(__file__).parent / "data" / "real_galaxies.toml"
    return float(tomllib.loads(path.read_text(encoding="utf-8"))["model_scatter"])

"""What can be chosen when a result is interpreted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.nebular.extinction import MILKY_WAY, Dust
from nebulines.nebular.metallicity import lines_of
from nebulines.nebular.region_densities import CLASS_NAMES
from nebulines.nebular.regions import DEFAULT_SHARES


@dataclass(frozen=True)
class Options:
    """How line fluxes become physical quantities.

    Attributes:
        dust: law of extinction in the source.
        ebv: E(B-V) [mag] of the source where it is known; 0 for fluxes without dust; None = from
            H-alpha / H-beta of each row.
        foreground: E(B-V) [mag] of the Milky Way, taken out first.
        calibration: of the oxygen abundance, see `nebulines.nebular.calibrations`.
        doublet: of the electron density, ``SII`` or ``OII``.
        temperature: of the electrons [K], for the density.
        detection: S/N of a line that counts as detected.
        shares: prior share of each class.
        component: velocity component that the fluxes are taken of.

    Raises:
        UsageError: a value that makes no sense.

    Example:
        >>> Options(calibration="N2_M13").doublet
        'SII'
    """

    dust: Dust = MILKY_WAY
    ebv: float | None = None
    foreground: float = 0.0
    calibration: str = "O3N2_M13"
    doublet: str = "SII"
    temperature: float = 1e4
    detection: float = 3.0
    shares: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_SHARES))
    component: int = 1

    def __post_init__(self) -> None:
        lines_of(self.calibration)
        self.dust.k([5500.0])
        if self.doublet not in ("SII", "OII"):
            raise UsageError(f"the doublet is SII or OII, not {self.doublet!r}")
        for name, least in (("foreground", 0.0), ("temperature", 4000.0), ("detection", 0.0)):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= least):
                raise UsageError(f"{name} must be a number from {least:g} up, not {value}")
        if self.ebv is not None and not np.isfinite(self.ebv):
            raise UsageError(f"ebv must be a finite number, not {self.ebv}")
        if self.component < 1:
            raise UsageError(f"components count from 1, not {self.component}")

    def cards(self) -> dict[str, Any]:
        """Header keywords that say what was chosen, and what the class numbers mean."""
        from nebulines.nebular.diagnostics import Bpt
        from nebulines.nebular.regions import Region

        return {
            "NEBLAW": self.dust.law,
            "NEBRV": "of the law" if self.dust.rv is None else self.dust.rv,
            "NEBEBV": "Balmer decrement" if self.ebv is None else self.ebv,
            "NEBFORE": self.foreground,
            "NEBOH": self.calibration,
            "NEBDENS": self.doublet,
            "NEBTEMP": self.temperature,
            "NEBSN": self.detection,
            "NEBSHARE": json.dumps({k: self.shares.get(k, 0.0) for k in CLASS_NAMES}),
            "NEBCOMP": self.component,
            "NEBCLASS": json.dumps({region.name: int(region) for region in Region}),
            "NEBBPT": json.dumps({kind.name: int(kind) for kind in Bpt}),
        }

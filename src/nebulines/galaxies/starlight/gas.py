"""A first look at the gas above starlight: where its lines are and how wide, for the fits that
follow."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import fit_block, search_start
from nebulines.fitting.prepared import Prepared
from nebulines.fitting.start import Start
from nebulines.spectra import Flag, Spectra

_SURE = ("OII3726", "OII3729", "HBETA4861", "OIII5007", "HALPHA6563", "NII6583", "SII6716")
_QUIET_BROADENING = 100.0


class Gas(NamedTuple):
    """The brightest lines of n spectra.

    Attributes:
        seen: (n,) bool, lines were found.
        start: where they are, the numbers of a search with its velocity and broadening refined.
    """

    seen: np.ndarray
    start: Start

    def kinematics(self, stars_kms: np.ndarray) -> dict[str, np.ndarray]:
        """Velocity and broadening (n,) [km/s]; that of the stars where no line is seen."""
        velocity = np.where(self.seen, self.start.velocity, stars_kms)
        broadening = np.where(self.seen, self.start.broadening, _QUIET_BROADENING)
        return {"velocity_kms": velocity, "broadening_kms": broadening}

    def find(self, prepared: Prepared) -> Start:
        """Where the fit of all lines starts: here, or at its own search where none is seen."""
        lost = np.flatnonzero(~self.seen)
        merged = [np.array(part, float) for part in self.start]
        if len(lost):
            data, geometry = prepared.data.rows(lost), prepared.geometry.rows(lost)
            own = search_start(prepared._replace(data=data, geometry=geometry))
            for mine, other in zip(merged, own, strict=True):
                mine[lost] = other
        return Start(*merged)


def look_for_gas(
    spectra: Spectra, on_axis: np.ndarray, config: FitConfig, gas_config: FitConfig
) -> Gas:
    """Measure the brightest lines.

    Args:
        spectra: the data.
        on_axis: (n, channel) starlight to take off.
        config: resolved options.
        gas_config: those of the fit of the lines.
    """
    lines = config.lines or ()
    few = tuple(name for name in lines if name in _SURE) or lines
    quick = replace(gas_config, lines=few, components=1, ties="all", velocity_convention="optical")
    rest = replace(spectra, flux=(spectra.flux - on_axis).astype(np.float32))
    searched: list[Start] = []

    def find(prepared: Prepared) -> Start:
        searched.append(search_start(prepared))
        return searched[0]

    columns = fit_block(rest, quick, with_model=False, find=find).columns
    velocity, broadening = columns["velocity"], columns["broadening"]
    seen = (columns["flags"] & int(Flag.LOW_SNR | Flag.NO_DATA)) == 0
    seen &= np.isfinite(velocity) & np.isfinite(broadening)
    refined = {
        "velocity": np.where(seen, velocity, searched[0].velocity),
        "broadening": np.where(seen, broadening, searched[0].broadening),
    }
    return Gas(seen, searched[0]._replace(**refined))

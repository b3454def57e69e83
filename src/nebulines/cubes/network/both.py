"""Least squares that start from the network's answer."""

from __future__ import annotations

import numpy as np

from nebulines.cubes.network.estimate import LEAST_CHANNELS, answers, as_start, network_applies
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import FittedBlock, fit_block, search_start
from nebulines.fitting.prepared import Prepared
from nebulines.fitting.start import Start
from nebulines.networks.kinematics.answer import Answer
from nebulines.networks.weights import load, shipped
from nebulines.spectra import Spectra

SURE = 25.0
"""Improvement of chi2 over the next best velocity from which the network's start is taken."""
LOST = 0.01
"""Probability that the lines were not found up to which the network's start is taken."""


def fit_from_network(
    spectra: Spectra, config: FitConfig, *, with_model: bool = True
) -> FittedBlock:
    """Fit n spectra from where the network finds their lines.

    A spectrum whose velocity the network is not sure of goes through the fit's own search, so
    that no answer depends on the network's failures. Where the network does not serve (several
    kinematic groups, several components) this is a plain fit.

    Args:
        spectra, config, with_model: as for `nebulines.fitting.fit.fit_block`.

    Returns:
        Columns, model and notes.
    """
    short = spectra.axis.n_channels < LEAST_CHANNELS
    if short or not network_applies(config) or "kinematics" not in shipped():
        return fit_block(spectra, config, with_model=with_model)
    fitted = fit_block(spectra, config, with_model=with_model, find=network_start)
    return fitted._replace(notes=fitted.notes | {"METHOD": "both"})


def network_start(prepared: Prepared) -> Start:
    """Start values from the network, and from the fit's own search where it is not sure."""
    found = answers(prepared, load("kinematics").network)
    start, doubtful = as_start(found), np.flatnonzero(~sure(found, prepared.config))
    if not len(doubtful):
        return start
    data, geometry = prepared.data.rows(doubtful), prepared.geometry.rows(doubtful)
    own = search_start(prepared._replace(data=data, geometry=geometry))
    merged = [np.array(part, float) for part in start]
    for mine, other in zip(merged, own, strict=True):
        mine[doubtful] = other
    return Start(*merged)


def sure(found: Answer, config: FitConfig) -> np.ndarray:
    """(n,) bool: the network's velocity can be trusted as a start."""
    low, high = config.velocity_range
    clear = found.score > found.rival + SURE
    inside = (found.best_offset > low) & (found.best_offset < high)
    finite = np.isfinite(found.best_offset) & np.isfinite(found.best_broadening)
    return np.asarray(clear & inside & finite & (found.lost < LOST))

"""What the network ``kinematics`` is shown of prepared spectra, and the units of its answers."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.cubes.network.line_windows import WindowPlan, cut_windows
from nebulines.fitting.prepared import Prepared
from nebulines.instruments.line_spread import LineSpreadShape
from nebulines.networks.kinematics.answer import Ranges, profile
from nebulines.networks.kinematics.line_search import trial_offsets
from nebulines.networks.kinematics.line_windows import LineWindows
from nebulines.training.kinematics.network import Measured

LEAST_SEARCH_KMS = 500.0
"""The network searches at least so far on both sides: what lies outside a narrower range is
seen, and flagged, instead of being forced into it."""
_CALL_ROWS = 1024


class NetworkInput:
    """Line windows, offsets to search and ranges of the prior, for prepared spectra.

    Args:
        prepared: the spectra, and what is asked for.

    Attributes:
        plan: how windows are cut.
        trials: (K,) offsets to search [km/s].
        ranges: of the flat prior, along the axis.
        shape: of the line spread.
    """

    def __init__(self, prepared: Prepared) -> None:
        geometry, config = prepared.geometry, prepared.config
        low, high = config.velocity_range
        search = (min(low, -LEAST_SEARCH_KMS), max(high, LEAST_SEARCH_KMS))
        self._prepared = prepared
        self._on_wavelength = geometry.axis.kind == "wavelength"
        self.plan = WindowPlan(geometry, prepared.model, search)
        self.trials = trial_offsets(*search)
        limits = (*(self._offset(v) for v in (low, high)), *config.broadening_range)
        self.ranges = Ranges(*(np.float32(x) for x in limits))
        self.shape: LineSpreadShape = "sinc" if geometry.sinc else "gaussian"

    def windows(self, rows: np.ndarray) -> LineWindows:
        """Windows of some rows."""
        return cut_windows(self._prepared.data, self._prepared.geometry, self.plan, rows)

    def stretch(self, offset: Any) -> Any:
        """What divides an offset and a broadening along the axis, both at an offset [km/s], to
        give the optical velocity and the broadening: (of the offset, of the broadening)."""
        if self._on_wavelength:
            return 1.0, 1.0 + offset / SPEED_OF_LIGHT_KMS
        return (1.0 - offset / SPEED_OF_LIGHT_KMS,) * 2

    def measured(self, velocity: Any, broadening: Any) -> Measured:
        """What the network is shown of all spectra, beside their truth: for training and judging.

        Args:
            velocity, broadening: (n,) true ones [km/s].
        """
        offset = self._offset(np.asarray(velocity, float))
        truth = (offset, np.asarray(broadening, float) * self.stretch(offset)[1])
        n, parts = len(offset), []
        for first in range(0, n, _CALL_ROWS):
            rows = np.minimum(np.arange(first, first + _CALL_ROWS), n - 1)
            here = tuple(np.asarray(part[rows], np.float32) for part in truth)
            found = _measured(self.windows(rows), here, self.trials, self.ranges, self.shape)
            parts.append(jax.tree.map(np.asarray, found))
        return jax.tree.map(lambda *a: np.concatenate(a)[:n], *parts)

    def _offset(self, velocity: Any) -> Any:
        """Offset along the axis of an optical velocity [km/s]."""
        if self._on_wavelength:
            return velocity
        return velocity / (1.0 + velocity / SPEED_OF_LIGHT_KMS)


@eqx.filter_jit
def _measured(windows: Any, truth: Any, trials: Any, ranges: Any, shape: Any) -> Measured:
    stack, box = profile(windows, trials, ranges, shape)
    u, r = (truth[0] - stack.offset) / stack.scale, truth[1] / stack.scale
    return Measured(stack.features, stack.snr, u, r, box)

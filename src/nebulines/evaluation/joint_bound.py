"""The Cramer-Rao bound of a joint fit: several bands with one velocity and one broadening."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nebulines.evaluation.cramer_rao import Bound
from nebulines.evaluation.fit_bound import bound_of, combine
from nebulines.fitting.config import FitConfig
from nebulines.spectra import Spectra


def joint_bound(
    bands: Sequence[Spectra],
    truth: Mapping[str, Any],
    config: FitConfig,
    lines: Sequence[Sequence[str]],
) -> Bound:
    """Bound of velocity, broadening and the fluxes of all bands, continua free in each.

    The bands' information on velocity and broadening adds up (`fit_bound.combine`); fluxes of
    different bands are correlated through the two.

    Args:
        bands: with variance, line spread and redshift; the flux is not used.
        truth: columns ``velocity``, ``broadening`` and ``NAME_flux``, each (n,).
        config: options; its lines are replaced by those of each band.
        lines: names of the lines of each band.

    Returns:
        `Bound`, its fluxes in the order of ``lines``, band after band.

    Example:
        >>> from nebulines.synthetic import simulate
        >>> truth, bands = simulate(["sitelle-sn2", "sitelle-sn3"], 2, 1, snr=(9.0, 9.0))
        >>> names = [["HBETA4861", "OIII5007"], ["HALPHA6563"]]
        >>> joint = joint_bound(bands, truth, FitConfig(), names)
        >>> alone = joint_bound(bands[1:], truth, FitConfig(), names[1:])
        >>> joint.fluxes.shape, bool((joint.velocity_kms < alone.velocity_kms).all())
        ((2, 3), True)
    """
    parts = [
        bound_of(spectra, truth, replace(config, lines=tuple(names)), list(names))
        for spectra, names in zip(bands, lines, strict=True)
    ]
    fluxes = np.concatenate([part.truth for part in parts], axis=1)
    return parts[0] if len(parts) == 1 else combine(parts, fluxes)

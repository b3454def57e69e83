"""The broadening of a profile from two weighted sums: good enough to know the neighbours by.

A narrow and a wide bell are laid over the middle of the profile; the ratio of the two sums grows
with the broadening and is looked up in a table made for each shape of line spread.
"""

from __future__ import annotations

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.constants import FWHM_PER_SIGMA, SINC_FWHM_PER_WIDTH
from nebulines.instruments.line_spread import LineSpreadShape

HALF_NODES = 11
NODE_STEP = 0.8
"""Nodes of the profile on each side, and their spacing in widths of the line spread."""
NODES = (NODE_STEP * np.arange(-HALF_NODES, HALF_NODES + 1)).astype(np.float32)
"""The nodes (M,)."""
_NARROW, _WIDE = 0.5, 2.0  # widths of the bells
_REGULAR = 3.0  # what noise may contribute to either


def rough_broadening(profile: Array, *, shape: LineSpreadShape) -> Array:
    """Broadening of profiles over their noise.

    Args:
        profile: (M, n) at `NODES`.
        shape: of the line spread.

    Returns:
        (n,) in widths of the line spread.

    Example:
        >>> bell = jnp.asarray(np.exp(-0.5 * np.square(NODES / 2.0)))[:, None]
        >>> 1.5 < float(rough_broadening(100.0 * bell, shape="sinc")[0]) < 2.5
        True
    """
    narrow, wide = jnp.asarray(np.stack([_taps(_NARROW), _taps(_WIDE)])) @ profile
    ratio, broadening = _ratio_table(shape)
    first = (jnp.maximum(wide, 0.0) + _REGULAR * ratio[4]) / (jnp.maximum(narrow, 0.0) + _REGULAR)
    return jnp.interp(first, jnp.asarray(ratio), jnp.asarray(broadening))


def _taps(width: float) -> np.ndarray:
    taps = np.exp(-0.5 * np.square(NODES / width))
    return (taps / taps.sum()).astype(np.float32)


@lru_cache
def _ratio_table(shape: LineSpreadShape) -> tuple[np.ndarray, np.ndarray]:
    """Ratios of the two sums (k,), increasing, and the broadenings (k,) that give them."""
    broadening = np.linspace(0.0, 3.5, 36)
    node = NODE_STEP * np.arange(-HALF_NODES, HALF_NODES + 1)
    if shape == "sinc":
        t, weights = np.polynomial.legendre.leggauss(80)
        t, weights = 0.5 * (t + 1.0), 0.5 * weights
        damping = np.exp(-0.5 * np.square(np.pi * broadening[:, None] * t))
        profile = (weights * damping) @ np.cos(np.pi * np.outer(t, node))
    else:
        sigma2 = (SINC_FWHM_PER_WIDTH / FWHM_PER_SIGMA) ** 2
        profile = np.exp(-0.5 * node**2 / (2.0 * sigma2 + broadening[:, None] ** 2))
    ratio = (profile @ _taps(_WIDE)) / (profile @ _taps(_NARROW))
    return ratio.astype(np.float32), broadening.astype(np.float32)

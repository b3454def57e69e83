"""The paper's networks (`PCA`, `Autoencoder`) behind the verb ``denoise``.

They know one noise level and no missing bins: spectra come to them in units of their norm, with
missing bins bridged, and the error is the one of the card, the same in every bin.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from nebulines.errors import UsageError
from nebulines.galaxies.denoising.axis import Binned, to_channels
from nebulines.galaxies.denoising.denoised import Denoised
from nebulines.networks.denoise.grid import N_BINS
from nebulines.spectra import Flag, Spectra

_LEAST_BINS = 0.7
_NOISE_MARGIN = 1.3


def denoise_plainly(
    network: Any,
    card: dict[str, Any],
    spectra: Spectra,
    redshift: np.ndarray,
    binned: Binned,
    draws: int,
) -> Denoised:
    """De-noise with a network that gives a spectrum and no posterior.

    Args:
        network, card: of `nebulines.networks.weights.load`.
        spectra: the input; ``redshift`` (n,) and ``binned`` belong to it.
        draws: has to be 0.

    Returns:
        `Denoised` with ``bins`` None.

    Raises:
        UsageError: draws, or a network that does not de-noise.
    """  # fmt: skip
    name = card.get("name", "the network")
    if not (hasattr(network, "encode") and hasattr(network, "decode")):
        raise UsageError(f"{name} does not de-noise: choose denoise, or pca, ae or vae weights")
    if draws:
        raise UsageError(f"{name} gives no posterior draws: use the network denoise, or no draws")
    seen = binned.weight > 0
    noise = np.sqrt(_ratio(1.0, np.ma.median(np.ma.masked_equal(binned.weight, 0.0), 1).filled(0)))
    power = np.sum(np.square(binned.flux) * seen, axis=1) / np.maximum(seen.sum(axis=1), 1)
    norm = np.sqrt(N_BINS * np.maximum(power - np.square(noise), 0.0))
    lost = (seen.mean(axis=1) < _LEAST_BINS) | ~(norm > 0)
    safe = np.where(lost, 1.0, norm)[:, None].astype(np.float32)
    clean = np.asarray(network(jnp.asarray(_bridged(binned.flux, seen) / safe))) * safe
    mse = card.get("scores", {}).get("mse", np.nan)
    error = np.broadcast_to(np.sqrt(mse) * safe, clean.shape)
    flags = np.where(lost, int(Flag.NO_DATA), 0)
    flags |= np.where(seen.all(axis=1), 0, int(Flag.MASKED_CHANNELS))
    trained = float(card.get("noise", 0.04))
    relative = noise / safe[:, 0]
    other = (relative > _NOISE_MARGIN * trained) | (relative < trained / _NOISE_MARGIN)
    flags |= np.where(other, int(Flag.OUT_OF_RANGE), 0)
    usable = np.isfinite(redshift)
    flags |= np.where(usable, 0, int(Flag.BAD_REDSHIFT))
    flags |= np.where(binned.bad_variance, int(Flag.BAD_VARIANCE), 0)
    z, unit = np.where(usable, redshift, 0.0), binned.unit[:, None]
    flux, err = (
        to_channels(np.where(lost[:, None], np.nan, part * unit).astype(np.float32), spectra, z)
        for part in (clean, error)
    )
    return Denoised(flux, err, flags, None, spectra, redshift, None, card)


def _ratio(top: float, bottom: np.ndarray) -> np.ndarray:
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), 0.0)


def _bridged(flux: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Spectra with missing bins interpolated."""
    out, channel = flux.copy(), np.arange(flux.shape[1])
    for row in np.flatnonzero(~seen.all(axis=1) & seen.any(axis=1)):
        out[row] = np.interp(channel, channel[seen[row]], flux[row, seen[row]])
    return out

"""Which channels an answer hangs on: its gradient over the spectrum.

For a network the gradient is taken through the network (Simonyan, Vedaldi & Zisserman 2014,
arXiv:1312.6034), or of any method by changing one channel at a time. For least squares it has
a closed form, the influence of each channel on the best fit, which is also what the best
possible answer would look at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from nebulines.errors import InputError
from nebulines.evaluation.cramer_rao import influence
from nebulines.evaluation.held_out import HeldOut
from nebulines.evaluation.methods import QUANTITIES, Method
from nebulines.lines import load_catalogue
from nebulines.spectra import Spectra

_ROWS = 256


def gradient_saliency(function: Callable[[Any], Any], flux: Any) -> np.ndarray:
    """Mean absolute gradient of a scalar over each channel.

    Args:
        function: flux (channel) -> scalar, made of JAX operations.
        flux: (n, channel).

    Returns:
        (channel,), unit of the scalar per unit of the flux.

    Raises:
        InputError: ``flux`` is not (n, channel) with one row or more.

    Example:
        >>> gradient_saliency(lambda f: 3.0 * f[1] - f[0], np.zeros((2, 3))).tolist()
        [1.0, 3.0, 0.0]
    """
    import jax

    flux = np.asarray(flux, np.float32)
    if flux.ndim != 2 or not len(flux):
        raise InputError(f"flux must have shape (n, channel) with n of 1 or more, not {flux.shape}")
    gradient = jax.jit(jax.vmap(jax.grad(function)))
    total = np.zeros(flux.shape[1])
    for start in range(0, len(flux), _ROWS):
        total += np.abs(np.asarray(gradient(flux[start : start + _ROWS]), float)).sum(axis=0)
    return total / len(flux)


def method_saliency(
    method: Method, spectra: Spectra, *, step: float = 0.5
) -> dict[str, np.ndarray]:
    """Mean absolute change of any method's answers with each channel, one channel at a time.

    Channel k of every spectrum is raised and lowered by ``step`` times its noise, and the
    difference of the answers is taken over 2 ``step``.

    Args:
        method: measures spectra.
        spectra: a few (n) with their variance; 2 n times the number of channels are measured.
        step: in units of the noise.

    Returns:
        quantity -> (channel,) [km/s per noise of a channel].

    Example:
        >>> from nebulines.evaluation.held_out import draw, sn3
        >>> from nebulines.evaluation.methods import from_columns
        >>> def brightest(spectra):
        ...     flux = spectra.flux
        ...     return from_columns({"velocity": flux[:, 7], "broadening": flux[:, 9]})
        >>> found = method_saliency(brightest, draw(sn3(), 2, seed=1).spectra)
        >>> int(np.argmax(found["velocity"])), int(np.argmax(found["broadening"]))
        (7, 9)
    """
    if spectra.variance is None:
        raise InputError("a saliency in units of the noise needs spectra with variance")
    n, channels = spectra.flux.shape
    copies = spectra[np.repeat(np.arange(n), 2 * channels)]
    noise = np.sqrt(np.asarray(spectra.variance, np.float32))
    flux = np.array(copies.flux, np.float32).reshape(n, 2, channels, channels)
    index = np.arange(channels)
    flux[:, 0, index, index] += step * noise
    flux[:, 1, index, index] -= step * noise
    measured = method(replace(copies, flux=flux.reshape(-1, channels)))
    changes = {}
    for name in QUANTITIES:
        answers = np.asarray(getattr(measured, name), float).reshape(n, 2, channels)
        slopes = np.abs(answers[:, 0] - answers[:, 1]) / (2.0 * step)
        changes[name] = np.nanmean(slopes, axis=0)
    return changes


def best_saliency(held_out: HeldOut, *, rows: int = 500) -> dict[str, np.ndarray]:
    """Mean absolute influence of each channel on the least-squares velocity and broadening.

    Args:
        held_out: spectra and truth.
        rows: how many of them are used.

    Returns:
        quantity -> (channel,) [km/s per unit of the flux times the noise of the spectrum], which
        is the change of the answer for a change of one channel by its noise.

    Example:
        >>> from nebulines.evaluation.held_out import draw, sn3
        >>> found = best_saliency(draw(sn3(), 4, seed=1))
        >>> found["velocity"].shape
        (842,)
    """
    spectra = held_out.spectra[:rows]
    assert spectra.variance is not None
    lines = held_out.source.lines
    truth = {name: values[:rows] for name, values in held_out.truth.items()}
    slopes = influence(
        spectra,
        load_catalogue().select(lines).wavelength(spectra.axis.medium),
        velocity_kms=truth["velocity"],
        broadening_kms=truth["broadening"],
        fluxes=np.stack([truth[f"{name}_flux"] for name in lines], axis=1),
    )
    step = np.sqrt(np.asarray(spectra.variance, float))
    means = [np.abs(slopes[:, k] * step).mean(axis=0) for k in range(len(QUANTITIES))]
    return dict(zip(QUANTITIES, means, strict=True))

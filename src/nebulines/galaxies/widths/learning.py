"""How `EquivalentWidth` learns from measured widths with errors: see `likelihood`.

Beside the mixture of joint distributions the network states the medians of its lines, which are
asked for far more often: they learn to agree with the mixture's.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.errors import InputError
from nebulines.galaxies.widths.bins import N_COLOURS
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.galaxies.widths.likelihood import log_likelihood
from nebulines.galaxies.widths.network import EquivalentWidth, fitted_to
from nebulines.galaxies.widths.spectrum_network import (
    N_FINE,
    EquivalentWidthSpectrum,
    spectrum_network_fitted_to,
)
from nebulines.training.task import Task, pick


class Measured(NamedTuple):
    """Galaxies to learn from.

    Attributes:
        colours: (n, 11) [dex]; or, for the network of spectra, `log_shape` (n, 120) [dex].
        ew, ew_err: (n, 10) measured widths and their errors [Angstrom]; an error that is not
            finite or not positive marks a width that was not measured.
    """

    colours: Any
    ew: Any
    ew_err: Any

    def rows(self, index: Any) -> Measured:
        """A subset of the galaxies."""
        return Measured(*(part[index] for part in self))


def measured(colours: Any, ew: Any, ew_err: Any) -> Measured:
    """Checked galaxies; widths that are not finite count as not measured.

    Raises:
        InputError: shapes that do not fit, or colours that are not finite.

    Example:
        >>> galaxies = measured(np.zeros((2, 11)), np.ones((2, 10)), np.full((2, 10), 0.5))
        >>> galaxies.ew.dtype
        dtype('float32')
    """
    colours, ew, ew_err = (np.asarray(part, np.float32) for part in (colours, ew, ew_err))
    n = len(colours)
    inputs_fit = colours.shape in ((n, N_COLOURS), (n, N_FINE))
    if not inputs_fit or ew.shape != (n, len(LINES)) or ew_err.shape != ew.shape:
        raise InputError(
            f"expected colours (n, {N_COLOURS}) or shapes (n, {N_FINE}) and widths with errors "
            f"(n, {len(LINES)}), got {colours.shape}, {ew.shape}, {ew_err.shape}"
        )
    if not np.isfinite(colours).all():
        bad = int((~np.isfinite(colours).all(axis=1)).sum())
        raise InputError(f"{bad} galaxies have colours that are not finite: leave them out")
    usable = np.isfinite(ew) & np.isfinite(ew_err) & (ew_err > 0)
    return Measured(colours, np.where(usable, ew, 0.0), np.where(usable, ew_err, np.inf))


def loss(network: Any, batch: Measured, key: Array | None = None) -> Array:
    """Mean of -log p over a batch and its lines, and of the squared distance of the stated medians
    (of asinh EW) from those of the mixture."""
    widths = network.predict(batch.colours)
    likelihood = jnp.mean(log_likelihood(widths, batch.ew, batch.ew_err)) / len(LINES)
    middle = jax.lax.stop_gradient(widths.quantile(0.5))
    return jnp.mean(jnp.square(widths.mean - middle)) - likelihood


def equivalent_width_task(
    training: Measured, validation: Measured, *, name: str = "equivalent_width", **parts: Any
) -> Task:
    """The task of learning from measured galaxies.

    Args:
        training, validation: disjoint sets; colours (n, 11) train the network of colours, shapes
            (n, 120) the one of spectra.
        name: of the network.
        **parts: further fields of `Task`, such as ``about`` and ``score``.
    """

    def build(key: Array, **size: Any) -> Any:
        if training.colours.shape[1] == N_COLOURS:
            return fitted_to(EquivalentWidth(key=key, **size), training.colours)
        network = EquivalentWidthSpectrum(key=key, **size)
        return spectrum_network_fitted_to(network, training.colours)

    learning = {
        "steps": 3000,
        "batch": 1024,
        "learning_rate": 3e-3,
        "validation": len(validation.colours),
        "validate_every": 250,
        "weight_decay": 0.0,
    }
    return Task(
        name,
        build,
        partial(pick, training),
        loss,
        learning,
        partial(pick, validation),
        **parts,
    )

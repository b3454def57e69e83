"""The published network of Khederlarian et al. 2024: one small network for each line.

Eleven colours, standardised by the mean and the spread of the training set of that line; three
hidden layers of 64, 128 and 64 with SELU; one output, asinh(EW / Angstrom). With luminosity, a
twelfth input, log10 of the continuum luminosity in the units of the training set.

Source: Khederlarian et al. 2024, MNRAS 531, 1454, section 3; weights under the MIT licence
(ashodkh/emission-lines).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.errors import InputError
from nebulines.galaxies.widths.bins import BIN_EDGES, N_COLOURS, colours
from nebulines.galaxies.widths.equivalent_widths import (
    LineWidths,
    published_names,
    published_scatter,
)
from nebulines.galaxies.widths.support import ColourSupport, published_support

WIDTHS = (64, 128, 64, 1)
"""Outputs of the layers of each line."""
ARCHITECTURE = "published_equivalent_width"
"""What a card calls it."""


class PublishedWidths(eqx.Module):
    """Ten independent networks, evaluated together.

    Args (of the constructor):
        key: of the initial weights.
        inputs: 11 colours, or 12 with luminosity.
        widths: outputs of the layers of each line.

    Example:
        >>> network = PublishedWidths(key=jax.random.key(0))
        >>> network(jnp.zeros((3, 11))).shape
        (3, 10)
    """

    edges: ClassVar[np.ndarray] = BIN_EDGES
    mean: Array
    spread: Array
    weights: list[Array]
    biases: list[Array]
    support: ColourSupport

    def __init__(self, *, key: Array, inputs: int = N_COLOURS, widths: Any = WIDTHS):
        n = len(published_names())
        sizes = (inputs, *widths)
        keys = jax.random.split(key, len(widths))
        self.mean, self.spread = jnp.zeros((n, inputs)), jnp.ones((n, inputs))
        self.weights = [
            jax.random.normal(k, (n, b, a)) / np.sqrt(a)
            for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
        ]
        self.biases = [jnp.zeros((n, b)) for b in widths]
        self.support = published_support(np.zeros(N_COLOURS), np.ones(N_COLOURS))

    def __call__(self, inputs: Any) -> Array:
        """asinh(EW / Angstrom) (n, 10) of inputs (n, 11), or (n, 12) with luminosity."""
        inputs = jnp.asarray(inputs)
        hidden = (inputs[None, :, :] - self.mean[:, None, :]) / self.spread[:, None, :]
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = jnp.einsum("lni,loi->lno", hidden, weight) + bias[:, None, :]
            hidden = hidden if i == last else jax.nn.selu(hidden)
        return hidden[..., 0].T

    def features(self, binned_flux: Any) -> Array:
        """Inputs (n, 11) of mean fluxes (n, 12)."""
        return colours(binned_flux)

    def median(self, inputs: Any) -> Array:
        """Median equivalent widths (n, 10) [Angstrom]."""
        return jnp.sinh(self(inputs))

    def predict(self, inputs: Any) -> LineWidths:
        """`LineWidths` of inputs as in ``__call__``; the scatter is an estimate, the same for
        all colours, for the published network states none (``data/lines.toml``)."""
        mean = self(inputs)
        scatter, together = published_scatter()
        own = jnp.broadcast_to(
            jnp.asarray(scatter * np.sqrt(1.0 - together), mean.dtype), mean.shape
        )
        shared = jnp.asarray(scatter * np.sqrt(together), mean.dtype)[:, None]
        return LineWidths(mean, jnp.broadcast_to(shared, (*mean.shape, 1)), own)


def read_published(path: str | Path) -> PublishedWidths:
    """The network of a file of published weights.

    Args:
        path: ``.npz`` with, for each line such as ``HALPHA``, ``HALPHA_0_0`` (weights of layer
            0) and ``HALPHA_0_1`` (its biases) to layer 3, ``HALPHA_mu`` and ``HALPHA_sc``.

    Raises:
        InputError: not such a file, or one that holds other shapes or numbers that are not finite.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"cannot read the published weights {path}: {error}") from error
    return published_network(arrays, where=str(path))


def published_network(arrays: Mapping[str, Any], *, where: str = "weights") -> PublishedWidths:
    """The network of published arrays, named as in `read_published`.

    Raises:
        InputError: arrays are missing, have other shapes, or are not finite.
    """
    names = published_names()
    wanted = [f"{line}_{part}" for line in names for part in ("mu", "sc", *_layers())]
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise InputError(
            f"{where}: no published weights: expected arrays such as {missing[0]}, and "
            f"{len(missing) - 1} more are missing"
        )
    if not all(np.isfinite(arrays[name]).all() for name in wanted):
        raise InputError(f"{where}: the weights are not finite: the file is damaged")
    try:
        stacked = {p: np.stack([arrays[f"{n}_{p}"] for n in names]) for p in ("mu", "sc")}
        stacked |= {p: np.stack([arrays[f"{n}_{p}"] for n in names]) for p in _layers()}
        return _assembled(stacked)
    except ValueError as error:
        raise InputError(f"{where}: the weights of the lines differ in shape: {error}") from error


def _layers() -> list[str]:
    return [f"{layer}_{part}" for layer in range(len(WIDTHS)) for part in (0, 1)]


def _assembled(stacked: Mapping[str, np.ndarray]) -> PublishedWidths:
    """The network whose leaves are the stacked arrays; float64 where JAX has it."""
    inputs = stacked["mu"].shape[1]
    shapes = [(o, i) for i, o in zip((inputs, *WIDTHS[:-1]), WIDTHS, strict=True)]
    for layer, (out, into) in enumerate(shapes):
        if stacked[f"{layer}_0"].shape[1:] != (out, into):
            raise ValueError(
                f"layer {layer} is {stacked[f'{layer}_0'].shape[1:]}, expected {(out, into)}"
            )
    mean = stacked["mu"].mean(axis=0)[:N_COLOURS]
    spread = stacked["sc"].mean(axis=0)[:N_COLOURS]
    blank = PublishedWidths(key=jax.random.key(0), inputs=inputs)
    return eqx.tree_at(
        lambda n: (n.mean, n.spread, n.weights, n.biases, n.support),
        blank,
        (
            jnp.asarray(stacked["mu"]),
            jnp.asarray(stacked["sc"]),
            [jnp.asarray(stacked[f"{k}_0"]) for k in range(len(WIDTHS))],
            [jnp.asarray(stacked[f"{k}_1"]) for k in range(len(WIDTHS))],
            published_support(mean, spread),
        ),
    )

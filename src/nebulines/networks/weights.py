"""Pretrained weights: a safetensors file and a JSON card, loaded by name.

The card says what the network is, what it was trained on (data, seeds, command, ranges) and how
well it did on spectra that it never saw.
"""

from __future__ import annotations

import functools
import importlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from nebulines.errors import InputError, UsageError

FOLDER = Path(__file__).parent / "weights"
"""Where the weights of the package lie."""

ARCHITECTURES = {
    "kinematics": ("nebulines.networks.kinematics.network", "Kinematics"),
    "starnet": ("nebulines.networks.starnet", "StarNet"),
    "denoise": ("nebulines.networks.denoise.network", "Denoise"),
    "galaxy_kinds": ("nebulines.networks.denoise.galaxy_kinds", "GalaxyKinds"),
    "pca": ("nebulines.networks.denoise.pca", "PCA"),
    "ae": ("nebulines.networks.denoise.autoencoder", "Autoencoder"),
    "vae": ("nebulines.networks.denoise.autoencoder", "Autoencoder"),
    "line_ratios": ("nebulines.networks.line_ratios.network", "LineRatios"),
    "line_ratio_ann": ("nebulines.networks.line_ratios.ann", "LineRatioAnn"),
    "equivalent_width": ("nebulines.galaxies.widths.network", "EquivalentWidth"),
    "equivalent_width_spectrum": (
        "nebulines.galaxies.widths.spectrum_network",
        "EquivalentWidthSpectrum",
    ),
    "published_equivalent_width": ("nebulines.galaxies.widths.published", "PublishedWidths"),
    "continuum_map": ("nebulines.galaxies.embedding.continuum_map", "EmbeddingMap"),
}
"""Name of an architecture -> module and class."""


class Pretrained(NamedTuple):
    """A network with its card.

    Attributes:
        network: Equinox module.
        card: what it is, what it learned from, how it did.
    """

    network: Any
    card: dict[str, Any]


def shipped() -> tuple[str, ...]:
    """Names of the networks whose weights come with the package.

    Example:
        >>> "kinematics" in shipped()
        True
    """
    return tuple(sorted(path.stem for path in FOLDER.glob("*.safetensors")))


@functools.cache
def load(name: str) -> Pretrained:
    """A pretrained network, by name or by the path of its ``.safetensors`` file.

    Args:
        name: one of `shipped`, or a path; the card lies beside it under ``.json``.

    Raises:
        UsageError: no such network.
        InputError: the file or its card is damaged, or they do not belong together.

    Example:
        >>> load("kinematics").card["architecture"]
        'kinematics'
    """
    return read_pretrained(
        Path(name) if name.endswith(".safetensors") else FOLDER / f"{name}.safetensors"
    )


def read_pretrained(path: Path) -> Pretrained:
    """As `load`, from a path, each time anew in the precision that JAX has."""
    card_path = path.with_suffix(".json")
    if not (path.exists() and card_path.exists()):
        raise UsageError(
            f"no pretrained network {path.stem!r}: shipped are {', '.join(shipped()) or 'none'}; "
            "or give the path of a .safetensors file with its .json card beside it"
        )
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
        # the shapes alone: initial weights would be drawn for nothing
        network = eqx.filter_eval_shape(blank, card["architecture"], card["size"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"the card {card_path} is not that of a network: {error}") from error
    return Pretrained(read_weights(path, network), card)


def blank(architecture: str, size: dict[str, Any]) -> Any:
    """A network of an architecture with initial weights."""
    if architecture not in ARCHITECTURES:
        raise UsageError(
            f"unknown network {architecture!r}; there are {', '.join(sorted(ARCHITECTURES))}"
        )
    module, name = ARCHITECTURES[architecture]
    return getattr(importlib.import_module(module), name)(key=jax.random.key(0), **size)


def save(path: Path, network: Any, card: dict[str, Any], *, half: bool = False) -> None:
    """Write the weights (float32) to ``path`` and the card beside it, both or neither.

    Args:
        path: ends in ``.safetensors``.
        network: Equinox module.
        card: at least ``architecture`` and ``size``.
        half: store float16, in half the space; what is read is float32 all the same.
    """
    from safetensors.numpy import save_file

    from nebulines.io.atomic import atomic_path

    with atomic_path(path) as weights, atomic_path(path.with_suffix(".json")) as text:
        kept = np.float16 if half else np.float32
        save_file({k: np.asarray(v, kept) for k, v in _named(network).items()}, weights)
        text.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def read_weights(path: Path, network: Any) -> Any:
    """The network with the weights of a file.

    Raises:
        InputError: the file is no safetensors file, or belongs to another network.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"cannot read the weights {path}: {error}") from error
    wanted = _named(network)
    if {k: v.shape for k, v in wanted.items()} != {k: v.shape for k, v in stored.items()}:
        raise InputError(
            f"the weights {path} do not fit the network that the card describes: expected "
            f"{len(wanted)} arrays such as {next(iter(wanted))}, got {len(stored)}"
        )
    if not all(np.isfinite(values).all() for values in stored.values()):
        raise InputError(f"the weights {path} are not finite: the file is damaged")
    arrays, static = eqx.partition(network, _is_weight)
    leaves = [jnp.asarray(np.asarray(stored[name], _as_read(stored[name]))) for name in wanted]
    arrays = jax.tree.unflatten(jax.tree.structure(arrays), leaves)
    return eqx.combine(arrays, static)


def _as_read(values: np.ndarray) -> np.dtype:
    """Half precision is read as single; what was stored in more keeps it."""
    return np.promote_types(values.dtype, np.float32)


def _is_weight(leaf: Any) -> bool:
    """An array of numbers, or the shape of one."""
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) and jnp.issubdtype(
        leaf.dtype, jnp.inexact
    )


def _named(network: Any) -> dict[str, Any]:
    """Arrays of a network by their place in it, in the order of its leaves."""
    arrays = eqx.filter(network, _is_weight)
    leaves, _ = jax.tree_util.tree_flatten_with_path(arrays)
    return {jax.tree_util.keystr(path).lstrip("."): leaf for path, leaf in leaves}

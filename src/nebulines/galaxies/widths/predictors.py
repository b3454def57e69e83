"""Networks that predict equivalent widths, by name or file: published weights and ours.

One contract: ``network.predict(inputs)`` of colours (n, 11) gives `LineWidths` or a
`WidthMixture`, and ``network.support`` says where it was trained.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.widths.bins import N_COLOURS
from nebulines.galaxies.widths.equivalent_widths import LINES

ARCHITECTURES = ("equivalent_width", "equivalent_width_spectrum", "published_equivalent_width")
"""Architectures that predict equivalent widths."""
DEFAULT = "equivalent_width"
"""The network of the package that is used when none is named."""
_BLOCK = 4096


class Predictor(NamedTuple):
    """A network with its card.

    Attributes:
        network: Equinox module with ``predict`` and ``support``.
        card: what it is, what it learned from, how it did.
    """

    network: Any
    card: dict[str, Any]


def load_predictor(path: str | Path) -> Predictor:
    """A network by name or from a file.

    Args:
        path: ``equivalent_width`` or ``equivalent_width_spectrum``, shipped with the package;
            ``.npz`` of published weights, or ``.safetensors`` with its ``.json`` card.

    Raises:
        UsageError: there is no such file, or it ends in something else.
        InputError: the file is damaged or is not such a network.
    """
    if str(path) in ARCHITECTURES:
        from nebulines.networks.weights import FOLDER

        return _stored(FOLDER / f"{path}.safetensors")
    path = Path(path)
    if path.suffix not in (".npz", ".safetensors"):
        raise UsageError(f"weights must be a .npz or a .safetensors file, not {path.name}")
    if not path.exists():
        raise UsageError(f"there are no weights {path}: give the path of a file that exists")
    if path.suffix == ".npz":
        from nebulines.galaxies.widths.published import read_published

        network = read_published(path)
        return Predictor(network, published_card(network))
    return _stored(path)


def _stored(path: Path) -> Predictor:
    from nebulines.networks.weights import read_pretrained

    network, card = read_pretrained(path)
    if card["architecture"] not in ARCHITECTURES:
        raise InputError(
            f"{path} holds a network of another kind ({card['architecture']}): painting needs one "
            f"of {', '.join(ARCHITECTURES)}"
        )
    return Predictor(network, card)


def published_card(network: Any) -> dict[str, Any]:
    """The card of a network of published weights."""
    from nebulines.galaxies.widths.published import ARCHITECTURE

    return {
        "name": "khederlarian2024",
        "architecture": ARCHITECTURE,
        "size": {"inputs": int(network.mean.shape[1])},
        "source": "Khederlarian et al. 2024, MNRAS 531, 1454 (ashodkh/emission-lines)",
        "licence": "MIT",
        "trained_ranges": {
            "sample": "DESI bright galaxy survey, redshift 0.06 to 0.30, EW > 0",
            "support": "only mean and spread of each colour are published",
        },
        "scatter": "none published; an estimate that is the same for all colours",
    }


def convert_published(source: str | Path, target: str | Path) -> Path:
    """Write published weights as ``.safetensors`` with a card beside them.

    Args:
        source: the published ``.npz``.
        target: ends in ``.safetensors``.

    Returns:
        The path written; `load_predictor` reads it.

    Raises:
        UsageError: another ending, or a folder that cannot be written.
        InputError: ``source`` is no published file.
    """
    from nebulines.galaxies.widths.published import read_published

    target = Path(target)
    if target.suffix != ".safetensors":
        raise UsageError(f"the converted weights must end in .safetensors, not {target.name}")
    with jax.enable_x64(True):
        network = read_published(source)
        _save(target, network, published_card(network))
    return target


def _save(path: Path, network: Any, card: dict[str, Any]) -> None:
    """Weights in their own precision, and the card beside them, both or neither."""
    from safetensors.numpy import save_file

    from nebulines.io.atomic import atomic_path

    leaves, _ = jax.tree_util.tree_flatten_with_path(network)
    arrays = {jax.tree_util.keystr(place).lstrip("."): np.asarray(leaf) for place, leaf in leaves}
    with atomic_path(path) as weights, atomic_path(path.with_suffix(".json")) as text:
        save_file(arrays, weights)
        text.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def widths_of_colours(
    network: Any, colours: Any, *, errors: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Equivalent widths of any number of galaxies, in blocks that fit the processor's cache.

    Args:
        network: of a `Predictor`.
        colours: (n, 11) [dex], or whatever the network takes.
        errors: False leaves the errors out, which is faster.

    Returns:
        Median widths and half of their 16 to 84 % intervals, each (n, 10) [Angstrom]; None in
        place of errors that were not asked for.

    Raises:
        InputError: another number of columns.

    Example:
        >>> ew, ew_err = widths_of_colours(default_predictor().network, np.zeros((3, 11)))
        >>> ew.shape, ew_err.shape
        ((3, 10), (3, 10))
    """
    colours = np.asarray(colours)
    if colours.ndim != 2 or colours.shape[1] < N_COLOURS:
        raise InputError(f"colours must be (n, {N_COLOURS}), not {colours.shape}")
    n, block = len(colours), min(_BLOCK, max(1, len(colours)))
    out = np.empty((2 if errors else 1, n, len(LINES)), np.float32)
    compute = _widths if errors else _medians

    def fill(start: int) -> None:
        stop = min(start + block, n)
        first = max(0, stop - block)  # the last block overlaps, so that one program serves all
        for values, place in zip(compute(network, colours[first:stop]), out, strict=True):
            place[first:stop] = values

    fill(0)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(fill, range(block, n, block)))
    return out[0], out[1] if errors else None


@eqx.filter_jit
def _widths(network: Any, colours: Any) -> tuple[jax.Array, jax.Array]:
    predicted = network.predict(colours)
    return predicted.ew(), predicted.ew_err()


@eqx.filter_jit
def _medians(network: Any, colours: Any) -> tuple[jax.Array]:
    return (network.median(colours),)


def default_predictor() -> Predictor:
    """The network of the package.

    Raises:
        UsageError: none is shipped with this version.
    """
    from nebulines.networks.weights import FOLDER

    return _stored(FOLDER / f"{DEFAULT}.safetensors")

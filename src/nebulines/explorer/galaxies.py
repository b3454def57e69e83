"""A population as the explorer shows it: spectra, widths, planes and columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from nebulines.explorer.compact import CompactSpectra, compact
from nebulines.explorer.rest_frame import GRID, grid_colours
from nebulines.galaxies.embedding.continuum_map import continuum_map, place
from nebulines.galaxies.embedding.sequences import CLASSES, Sequences, overall_colour, sequence_of
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.nebular.diagnostics import Bpt, bpt_class

VARIANTS = {
    "true": "true",
    "observed": "observed",
    "predicted": "predicted",
    "noisy": "predicted + noise",
}
"""Kinds of widths: key -> how the page calls it, in its order."""
_DETECTION = 3.0


class Column(NamedTuple):
    """One number or class a galaxy.

    Attributes:
        name: of the column in a table.
        label: on the page.
        values: (n,) real numbers, or whole numbers of classes with -1 for none.
        unit: of the numbers.
        names: of the classes, empty for numbers.
    """

    name: str
    label: str
    values: np.ndarray
    unit: str = ""
    names: tuple[str, ...] = ()


class Plane(NamedTuple):
    """Where galaxies lie on a plane.

    Attributes:
        label: its name.
        axes: labels of x and y.
        points: (n, 2), NaN where a galaxy has no place.
    """

    label: str
    axes: tuple[str, str]
    points: np.ndarray


@dataclass(frozen=True)
class Population:
    """n galaxies.

    Attributes:
        spectra: their continua without lines, rest frame.
        colours: (n, 11) [dex].
        widths: kind of `VARIANTS` -> (n, 10) equivalent widths [Angstrom].
        planes: where they lie.
        columns: what is known of each.
        broadening_kms: () or (n,) 1-sigma velocity dispersion of the gas, to paint lines with.
        ids: names of the galaxies, or None for row numbers.
        unit: of the flux.
        title: of the page.
        about: what the reader should know: name -> text.
    """

    spectra: CompactSpectra
    colours: np.ndarray
    widths: Mapping[str, np.ndarray]
    planes: Sequence[Plane]
    columns: Sequence[Column]
    broadening_kms: Any = 100.0
    ids: Sequence[str] | None = None
    unit: str = ""
    title: str = "Galaxies"
    about: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.colours)


def continua(blocks: Iterable[np.ndarray]) -> tuple[CompactSpectra, np.ndarray]:
    """Compact spectra and colours (n, 11) of continua on the rest-frame grid.

    Args:
        blocks: (rows, channel) without lines, block after block.
    """
    colours: list[np.ndarray] = []

    def with_colours() -> Iterator[np.ndarray]:
        for block in blocks:
            colours.append(grid_colours(block))
            yield block

    spectra = compact(GRID, with_colours())
    return spectra, np.concatenate(colours)


def continuum_plane(colours: np.ndarray) -> Plane:
    """The map of continua that comes with the package."""
    return Plane("UMAP of continua", ("UMAP 1", "UMAP 2"), place(continuum_map(), colours))


def latent_plane(network: Any, colours: np.ndarray, *, seed: int = 0, subset: int = 8000) -> Plane:
    """UMAP of what the last layer of the width network says: of a subset, learned by a small
    network that then places all.

    Raises:
        UsageError: umap-learn is not installed.
    """
    from nebulines.galaxies.embedding.continuum_map import latent_features
    from nebulines.galaxies.embedding.learning import distil, fit_umap

    good = np.flatnonzero(np.isfinite(colours).all(axis=1))
    chosen = np.random.default_rng(seed).permutation(good)[:subset]
    latent = latent_features(network, np.nan_to_num(colours))
    reducer = fit_umap(latent[chosen], seed=seed)
    points = place(distil(latent[chosen], reducer.embedding_, seed=seed), latent)
    points[~np.isfinite(colours).all(axis=1)] = np.nan
    return Plane("UMAP of the network's latent space", ("UMAP 1", "UMAP 2"), points)


def basic_columns(
    colours: np.ndarray, widths: Mapping[str, np.ndarray], errors: np.ndarray | None = None
) -> list[Column]:
    """Overall colour, sequence, BPT class, and whether the colours are among those trained on.

    Args:
        colours: (n, 11) [dex].
        widths: kind -> (n, 10) [Angstrom].
        errors: (n, 10) of the observed widths; undetected lines give no class.
    """
    from nebulines.networks.weights import load

    card = load("continuum_map").card
    sequences = Sequences(**card["sequences"])
    kind = next(kind for kind in VARIANTS if kind in widths)
    bpt = _bpt(widths[kind], errors if kind == "observed" else None)
    return [
        Column("colour", "log F(6850)/F(3550)", overall_colour(colours), "dex"),
        Column("sequence", "sequence", sequence_of(colours, sequences), names=CLASSES),
        Column("bpt", f"BPT class, {kind}", bpt - 1, names=_bpt_names()),
        Column("support", "colours", _support(colours), names=SUPPORT),
    ]


SUPPORT = ("as trained on", "unlike those trained on", "incomplete")
"""Classes of the column ``support``."""


def _support(colours: np.ndarray) -> np.ndarray:
    complete = np.isfinite(colours).all(axis=1)
    inside = np.asarray(continuum_map().support.distance(np.nan_to_num(colours))) <= 1.0
    return np.where(complete, np.where(inside, 0, 1), 2)


def _bpt(widths: np.ndarray, errors: np.ndarray | None) -> np.ndarray:
    """Class from ratios of widths, whose continua cancel to a few per cent."""
    needed = ("NII6583", "HALPHA6563", "OIII5007", "HBETA4861")
    index = [LINES.index(name) for name in needed]
    seen = dict(zip(needed, widths[:, index].T, strict=True))
    found = bpt_class(seen)
    if errors is None:
        return found
    with np.errstate(invalid="ignore", divide="ignore"):
        detected = (widths[:, index] > _DETECTION * errors[:, index]).all(axis=1)
    return np.where(detected, found, Bpt.UNKNOWN)


def _bpt_names() -> tuple[str, ...]:
    spelled = {"LINER": "LINER", "SEYFERT": "Seyfert"}
    return tuple(spelled.get(k.name, k.name.lower().replace("_", "-")) for k in Bpt if k)

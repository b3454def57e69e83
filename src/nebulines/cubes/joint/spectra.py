"""Several bands as one thing to read, fit and write: sets of spectra, or cubes on one grid."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nebulines.cubes.files.provenance import provenance
from nebulines.cubes.files.sinks import Piece
from nebulines.cubes.spaxels import CubePlan, SpectraPlan
from nebulines.errors import UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.joint.block import JointBlock, fit_joint_block
from nebulines.fitting.joint.problem import JointPlan
from nebulines.spectra import Cube, Spectra


@dataclass(frozen=True)
class BandSpectra:
    """n objects in several bands.

    Attributes:
        bands: spectra of each band, n rows.
    """

    bands: tuple[Spectra, ...]

    def __len__(self) -> int:
        return len(self.bands[0])


@dataclass(frozen=True)
class JointSpectraPlan:
    """How sets of spectra are read in chunks, band beside band.

    Attributes:
        plans: of each band.
    """

    plans: tuple[SpectraPlan, ...]

    @classmethod
    def of(cls, bands: Sequence[Spectra], chunk: int, *, with_redshift: bool) -> JointSpectraPlan:
        """Chunks of some rows of every band."""
        return cls(tuple(SpectraPlan(spectra, chunk, with_redshift) for spectra in bands))

    @property
    def jobs(self) -> list[tuple[int, slice]]:
        """(number, rows) of the chunks."""
        return self.plans[0].jobs

    @property
    def n_spectra(self) -> int:
        """Number of objects to fit."""
        return self.plans[0].n_spectra

    def read(self, rows: slice) -> BandSpectra:
        """The spectra of a chunk, in memory."""
        return BandSpectra(tuple(plan.read(rows) for plan in self.plans))

    def place(self, rows: slice, spectra: BandSpectra, fitted: JointBlock) -> Piece:
        """Values of a fitted chunk."""
        return _joined(
            [
                plan.place(rows, band, _OfBand(fitted.columns, model))
                for plan, band, model in zip(self.plans, spectra.bands, fitted.models, strict=True)
            ]
        )


@dataclass(frozen=True)
class JointCubePlan:
    """How the blocks of cubes on one grid are read, and where their values go.

    Attributes:
        plans: of each band; the first one's decides which blocks there are.
    """

    plans: tuple[CubePlan, ...]

    @property
    def jobs(self) -> list[tuple[int, Any]]:
        """(number, block) of the blocks with a spaxel in use."""
        return self.plans[0].jobs

    @property
    def n_spectra(self) -> int:
        """Number of objects to fit."""
        return self.plans[0].n_spectra

    def read(self, block: Any) -> BandSpectra:
        """Spectra of the bins in use."""
        return BandSpectra(tuple(plan.read(block) for plan in self.plans))

    def place(self, block: Any, spectra: BandSpectra, fitted: JointBlock) -> Piece:
        """Values of a fitted block, spread over its spaxels."""
        plain = replace(self.plans[0], with_model=False)
        whole = plain.place(block, spectra.bands[0], fitted)
        if not self.plans[0].with_model:
            return whole
        bands = zip(self.plans, spectra.bands, fitted.models, strict=True)
        pieces = [
            plan.place(block, band, _OfBand(fitted.columns | _noise_of(fitted, number), model))
            for number, (plan, band, model) in enumerate(bands)
        ]
        return replace(whole, bands=tuple(pieces))


def _noise_of(fitted: JointBlock, band: int) -> dict[str, np.ndarray]:
    """The noise that the fit found in one band, for data that bring none."""
    names = [name for name in fitted.columns if name.endswith("_noise")]
    return {"noise": fitted.columns[names[band]]} if len(names) > band else {}


@dataclass(frozen=True)
class _OfBand:
    """What a plan of one band takes of a joint fit."""

    columns: dict[str, np.ndarray]
    model: np.ndarray


def _joined(pieces: list[Piece]) -> Piece:
    """One piece with the columns once and the model of each band."""
    return replace(pieces[0], bands=tuple(pieces))


def joint_fit_block(plan: JointPlan, method: str = "fit") -> Any:
    """The function that measures a block of `BandSpectra`, as `loop.run_blocks` calls it: least
    squares, or for ``network`` the networks alone."""
    from nebulines.cubes.network.line_ratios import estimate_joint_block

    measure = estimate_joint_block if method == "network" else fit_joint_block

    def fit_block(spectra: BandSpectra, config: FitConfig, *, with_model: bool) -> JointBlock:
        return measure(spectra.bands, plan, with_model=with_model)

    return fit_block


def joint_provenance(bands: Sequence[Spectra | Cube], plan: JointPlan) -> dict[str, Any]:
    """Header facts of a joint fit: those of the first band, with the files, digests and
    instruments of all."""
    parts = [provenance(data, plan.config) for data in bands]
    meta = parts[0] | {"BANDS": ", ".join(plan.labels), "REDDLAW": plan.config.reddening}
    for key in ("INPUT", "INSTROW"):
        if values := [part[key] for part in parts if key in part]:
            meta[key] = ", ".join(values)
    if all("DIGEST" in part for part in parts):
        together = "".join(part["DIGEST"] for part in parts)
        meta["DIGEST"] = hashlib.sha256(together.encode()).hexdigest()
        meta["DIGALG"] = "sha256 of the digests of the inputs, one after another"
    else:
        meta.pop("DIGEST", None)
    return meta


def check_method(method: str) -> None:
    """Refuse what is no method.

    Raises:
        UsageError: another name.
    """
    from nebulines.cubes.engine import METHODS

    if method not in METHODS:
        raise UsageError(f"method must be {', '.join(METHODS)}; got {method!r}")

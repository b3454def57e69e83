"""What the sections of the report on line ratios share: objects, networks, what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.evaluation.line_ratio_methods import Ours, band_fits, dense_ensemble, joint_fit
from nebulines.evaluation.line_ratios import (
    Estimate,
    RatioSet,
    draw_ratio_set,
)


@dataclass(frozen=True)
class RatioPlan:
    """What a reproduction is made of.

    Attributes:
        folder: for the report.
        seed: of the held-out stream.
        n: held-out objects.
        n_calibration: held-out objects that the posterior's calibration is judged on.
        n_timing: objects that the rate is measured on.
        k_spectra, folds, k_epochs: of the cross-validation, and of the search for layers.
        n_noise: objects of the noise classifier.
        ann: weights of ``line_ratio_ann``; None = those shipped.

    Example:
        >>> RatioPlan.of(Path("out"), quick=True).n
        1000
    """

    folder: Path
    seed: int
    n: int
    n_calibration: int
    n_timing: int
    k_spectra: int
    folds: int
    k_epochs: int
    n_noise: int
    ann: Path | None = None

    @classmethod
    def of(
        cls, folder: Path, *, seed: int = 1, quick: bool = False, ann: Path | None = None
    ) -> RatioPlan:
        """The plan with its usual numbers, or small ones."""
        if quick:
            return cls(folder, seed, 1000, 2000, 1000, 1000, 2, 2, 2000, ann)
        return cls(folder, seed, 3000, 120_000, 2048, 4000, 5, 12, 12_000, ann)


@dataclass(frozen=True)
class Workshop:
    """What the sections share.

    Attributes:
        plan: of the report.
        held_out: the objects.
        ann: the network ``line_ratio_ann``.
        ours: the network ``line_ratios``.
        found: method -> its estimates.
        note: where ``line_ratio_ann`` comes from.
    """

    plan: RatioPlan
    held_out: RatioSet
    ann: Any
    ours: Ours
    found: dict[str, Estimate]
    note: str

    @classmethod
    def open(cls, plan: RatioPlan) -> Workshop:
        """Draw the objects, load the networks, and measure."""
        network, note = loaded(plan.ann)
        held_out = draw_ratio_set(plan.n, seed=plan.seed)
        ours = Ours()
        found = {
            "band by band": band_fits(held_out.objects),
            "joint fit": joint_fit(held_out.objects),
            "line_ratio_ann": dense_ensemble(network)(held_out.objects),
            "line_ratios": ours(held_out.objects),
        }
        return cls(plan, held_out, network, ours, found, note)

    def relative(self) -> dict[str, np.ndarray]:
        """Relative errors (n, 8) [%] of each method."""
        truth = self.held_out.ratio[:, :-1]
        return {k: 100.0 * (e.ratio[:, :-1] / truth - 1.0) for k, e in self.found.items()}


def loaded(path: Path | None) -> tuple[Any, str]:
    """The network ``line_ratio_ann``, and a line on its origin.

    Args:
        path: weights, or the folder of ``nebulines train --ensemble``; None = those shipped.
    """
    network, cards = members_of(path)
    trained = cards[0]["trained_with"]
    steps, batch = trained["config"]["steps"], trained["config"]["batch"]
    begun = cards[0].get("begun_with")
    first = "" if begun is None else f" after `{begun['command']}`"
    seconds = sum(card["trained_with"]["seconds"] for card in cards)
    count = len(network.bias[0])
    members = f"{count} members" if count > 1 else "one member"
    return network, (
        f"`line_ratio_ann`{' as shipped' if path is None else ''}: {members}, "
        f"`{trained['command']}`{first} ({steps:,} steps of {batch}, {seconds:.0f} s in all)."
    )


def members_of(path: Path | None) -> tuple[Any, list[dict[str, Any]]]:
    """Weights of a file, or all members in a folder as one ensemble, and the cards.

    Raises:
        UsageError: a folder without members, weights of another network.
    """
    from nebulines.networks.line_ratios.ann import together
    from nebulines.networks.weights import load

    files = [] if path is None else [path]
    if path is not None and path.is_dir():
        files = sorted(path.glob("member-*/line_ratio_ann.safetensors"))
        files = files or list(path.glob("line_ratio_ann.safetensors"))
    names = ["line_ratio_ann"] if path is None else [str(file) for file in files]
    if not names:
        raise UsageError(
            f"no line_ratio_ann.safetensors and no member-*/line_ratio_ann.safetensors in {path}"
        )
    found = [load(name) for name in names]
    for name, one in zip(names, found, strict=True):
        if one.card["architecture"] != "line_ratio_ann":
            raise UsageError(f"{name} does not hold weights of 'line_ratio_ann'")
    return together([one.network for one in found]), [one.card for one in found]

"""The sections of ``nebulines reproduce line-ratios`` that compare the methods."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.evaluation.held_out import held_out_seed
from nebulines.evaluation.line_ratio_methods import Ours, band_fits, dense_ensemble, joint_fit
from nebulines.evaluation.line_ratios import (
    Estimate,
    RatioSet,
    calibration_rows,
    draw_ratio_set,
)
from nebulines.evaluation.tables import markdown
from nebulines.networks.line_ratio_ann import CHANNELS, RATIOS
from nebulines.plots.line_ratios import (
    activation_figure,
    against_snr_figure,
    ratio_label,
)
from nebulines.plots.style import save_figure
from nebulines.reports.line_ratios import RatioPlan
from nebulines.reports.page import pictures
from nebulines.reports.section import Section
from nebulines.training.line_ratio_spectra import paper_objects

_SALIENCY_ROWS = 20
_PART = 10_000
"""Objects whose spectra are in memory at once."""
_CALIBRATION = 490
"""First of the streams of objects that the calibration is judged on."""


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
        network, note = _loaded(plan.ann)
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


def _loaded(path: Path | None) -> tuple[Any, str]:
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
    from nebulines.networks.line_ratio_ann import together
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


def calibration(work: Workshop) -> Section:
    """Coverage of our posterior and KS of its probability integral transform."""
    n = work.plan.n_calibration
    seeds = [held_out_seed(work.plan.seed, _CALIBRATION + k) for k in range(-(-n // _PART))]
    snr, found = [], []
    for k, seed in enumerate(seeds):
        objects = paper_objects(min(_PART, n - k * _PART), seed)
        snr.append(objects.truth["snr"])
        found.append(work.ours(objects))
    whole = Estimate(*(np.concatenate(part) for part in zip(*found, strict=True)))
    rows = calibration_rows(np.concatenate(snr), whole)
    table = [
        [f"{r['low']:g}-{r['high']:g}", ratio_label(r["ratio"]).replace("$\\alpha$", "α")
         .replace("$\\beta$", "β"), r["n"], f"{100 * r['covers_68']:.1f}",
         f"{100 * r['covers_95']:.1f}", r["ks"], r["ks_p"]]
        for r in rows
    ]  # fmt: skip
    text = (
        "Central intervals of the posterior of `line_ratios`, told that the objects are drawn by "
        f"the paper's recipe. An exact posterior covers 68.3 and 95.4 %; with {rows[-1]['n']:,} "
        "objects the KS distance of an exact one is below "
        f"{1.36 / np.sqrt(rows[-1]['n']):.3f} in 95 % of cases."
    )
    header = ["S/N", "ratio", "n", "68 % covers", "95 % covers", "KS", "p"]
    return Section([text, markdown(header, table)], {"rows": rows})


def against_snr(work: Workshop) -> Section:
    """Median and 68 % band of the relative errors against the S/N."""
    chosen = {k: v for k, v in work.relative().items() if k != "band by band"}
    snr = work.held_out.objects.truth["snr"]
    figure = against_snr_figure(chosen, snr, RATIOS[:-1], title="Relative errors against the S/N")
    paths = save_figure(figure, work.plan.folder / "against_snr", formats=("png",))
    text = (
        "The paper's residuals do not depend on the S/N: the network gives back what it knows of "
        "nebulae. A posterior leans on that where the spectrum says little, and leaves it where "
        "the spectrum says more."
    )
    return Section([text, pictures(paths)], {}, paths)


def activation(work: Workshop) -> Section:
    """Mean absolute gradient of the answers over the channels of each band."""
    import jax
    import jax.numpy as jnp

    from nebulines.training.line_ratio_ann import joined

    objects = work.held_out.objects
    rows = np.argsort(np.abs(objects.truth["snr"] - 20.0))[:_SALIENCY_ROWS]
    spectra = joined(tuple(band[rows] for band in objects.bands))
    scale = spectra.max(axis=1, keepdims=True)

    def total(one: Any) -> Any:
        return jnp.mean(work.ann.raw(one[None]), axis=(0, 1))

    slopes = jax.vmap(jax.jacrev(total))(jnp.asarray(spectra / scale))
    size = np.asarray(jnp.mean(jnp.abs(slopes), axis=(0, 1)))
    size = size / size.max()
    edges = np.cumsum([0, *CHANNELS])
    parts = [size[a:b] for a, b in itertools.pairwise(edges)]
    bands = [
        (str(band.instrument).upper()[-3:], band.axis.rows(0).wavelength().reshape(-1)[:n],
         spectra[0, a:b])
        for band, n, a, b in zip(objects.bands, CHANNELS, edges[:-1], edges[1:], strict=True)
    ]  # fmt: skip
    figure = activation_figure(
        bands, {"line_ratio_ann, |d answer / d channel|": parts},
        title="Activation of line_ratio_ann, spectra of S/N 20",
    )  # fmt: skip
    paths = save_figure(figure, work.plan.folder / "activation", formats=("png",))
    share = {
        band[0]: float(part.sum() / size.sum()) for band, part in zip(bands, parts, strict=True)
    }
    text = (
        "Mean absolute gradient over the nine answers, 20 objects, largest value 1. Share of "
        + (", ".join(f"{name}: {100 * value:.0f} %" for name, value in share.items()))
    )
    return Section([f"{text}.", pictures(paths)], {"share": share}, paths)

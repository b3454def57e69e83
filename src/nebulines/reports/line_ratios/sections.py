"""The sections of ``nebulines reproduce line-ratios`` that compare the methods."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from nebulines.evaluation.held_out import held_out_seed
from nebulines.evaluation.line_ratios import (
    Estimate,
    calibration_rows,
)
from nebulines.evaluation.tables import markdown
from nebulines.networks.line_ratios.ann import CHANNELS, RATIOS
from nebulines.plots.line_ratios import (
    activation_figure,
    against_snr_figure,
    ratio_label,
)
from nebulines.plots.style import save_figure
from nebulines.reports.line_ratios.workshop import Workshop
from nebulines.reports.page import pictures
from nebulines.reports.section import Section
from nebulines.training.line_ratios.spectra import paper_objects

_SALIENCY_ROWS = 20
_PART = 10_000
"""Objects whose spectra are in memory at once."""
_CALIBRATION = 490
"""First of the streams of objects that the calibration is judged on."""


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

    from nebulines.training.line_ratios.ann import joined

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

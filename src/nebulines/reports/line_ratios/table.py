"""The section of ``nebulines reproduce line-ratios`` that stands beside the paper's table 2."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.evaluation.line_ratio_floor import posterior_floor
from nebulines.evaluation.line_ratios import Estimate, RatioSet, table_row
from nebulines.evaluation.published import published
from nebulines.evaluation.tables import markdown
from nebulines.networks.line_ratios.ann import RATIOS
from nebulines.plots.line_ratios import density_figure
from nebulines.plots.style import save_figure
from nebulines.reports.line_ratios.workshop import Workshop
from nebulines.reports.page import pictures
from nebulines.reports.section import Section

_SHORT = [ratio.replace("HALPHA6563", "Ha").replace("HBETA4861", "Hb") for ratio in RATIOS]
_BRIGHT = 10.0
_FLOOR_OBJECTS = 1000


def table_two(work: Workshop) -> Section:
    """Standard deviation of the relative errors, as table 2, and what it hides."""
    rows = {name: table_row(work.held_out, found) for name, found in work.found.items()}
    bright = _bright(work)
    rows["joint fit, S/N > 10"] = bright["joint fit"]
    rows["band by band, S/N > 10"] = bright["band by band"]
    order = ["band by band", "band by band, S/N > 10", "joint fit", "joint fit, S/N > 10",
             "line_ratio_ann", "line_ratios"]  # fmt: skip
    floor = posterior_floor(_first(work.held_out), seed=work.plan.seed)
    parts = [
        "Standard deviation of the relative error [%]. A ratio whose denominator is near zero "
        "makes it as large as one likes: the robust scatter below is what a user meets. "
        f"**least possible** is the exact posterior of {floor.n:,} of the objects under the very "
        "prior that they are drawn from, with the covariance of the fluxes at the Cramér-Rao "
        "bound and the estimate that makes this scatter least; "
        f"{floor.effective:,.0f} sources carry the weight of the median posterior. No method can "
        "be below it but by chance.",
        _percent_table(order, rows, "std", floor=floor.relative),
        "The paper's table 2. For the network, the notebook published with it computes the scatter "
        "of the relative error of **arcsinh of the ratio**, not of the ratio, and so does the next "
        "table; the text says that its comparison is made on the training set (section 3.1). Its "
        "rows of fits are relative errors of the ratios, as above.",
        _percent_table(order, rows, "arcsinh_std", floor=floor.arcsinh, paper=True),
        "Robust scatter (1.4826 times the median absolute deviation) [%]:",
        _percent_table(order, rows, "nmad"),
        "Bias, median relative error [%]:",
        _percent_table(order, rows, "bias"),
        "RMS over the Cramér-Rao bound of the joint fit (lines of fixed ratio tied), of the "
        "natural logarithm, where all lines of the ratio truly have 3 σ or more. Below 1: what is "
        "known beforehand of nebulae tells more than the spectrum.",
        _percent_table(["joint fit", "line_ratio_ann", "line_ratios"], rows, "over_bound"),
        "Rows of that table, and the median bound [%]:",
        markdown(["", *_SHORT[:-1]], _bound_rows(work)),
    ]
    title = f"Relative errors of {work.plan.n:,} held-out objects, S/N 5 to 30"
    figure = density_figure(work.relative(), RATIOS[:-1], title=title)
    paths = save_figure(figure, work.plan.folder / "densities", formats=("png",))
    least = {"relative": floor.relative.tolist(), "arcsinh": floor.arcsinh.tolist()}
    numbers = rows | {"least possible": least | {"n": floor.n, "effective": floor.effective}}
    return Section([*parts, pictures(paths)], numbers, paths)


def _bright(work: Workshop) -> dict[str, list[dict[str, float]]]:
    """Statistics of the fits where the S/N is above 10."""
    rows = work.held_out.objects.truth["snr"] > _BRIGHT
    part = work.held_out._replace(
        ratio=work.held_out.ratio[rows],
        bound=work.held_out.bound[rows],
        detected=work.held_out.detected[rows],
    )
    names = ("band by band", "joint fit")
    return {n: table_row(part, Estimate(work.found[n].ratio[rows])) for n in names}


def _percent_table(
    order: list[str],
    rows: dict[str, Any],
    key: str,
    *,
    floor: np.ndarray | None = None,
    paper: bool = False,
) -> str:
    table: list[list[Any]] = [[name, *(row[key] for row in rows[name][:-1])] for name in order]
    if floor is not None:
        table.append(["**least possible**", *floor])
    if paper:
        for row in published("rhea2021")["scatter"]:
            table.append([f"paper: {row['method']}", *row["percent"]])
    return markdown(["method", *_SHORT[:-1]], table)


def _bound_rows(work: Workshop) -> list[list[Any]]:
    bound, detected = work.held_out.bound, work.held_out.detected
    columns = range(len(RATIOS) - 1)
    counts = [int(detected[:, k].sum()) for k in columns]
    medians = [100.0 * float(np.median(bound[:, k])) for k in columns]
    prior = work.held_out.ratio
    spread = [100.0 * float(np.std(prior[:, k]) / np.mean(prior[:, k])) for k in columns]
    return [
        ["objects judged", *counts],
        ["median bound, all objects", *medians],
        ["standard deviation of the ratio among the objects", *spread],
    ]


def _first(held_out: RatioSet) -> RatioSet:
    """The first of the objects, for the exact posterior."""
    first = slice(0, _FLOOR_OBJECTS)
    objects = held_out.objects
    few = objects._replace(
        truth={name: values[first] for name, values in objects.truth.items()},
        bands=tuple(band[first] for band in objects.bands),
    )
    return RatioSet(few, *(part[first] for part in held_out[1:]))

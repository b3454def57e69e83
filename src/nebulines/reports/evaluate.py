"""The report of ``nebulines evaluate``: one method on one held-out set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nebulines.errors import UsageError
from nebulines.evaluation.held_out import draw, sn3
from nebulines.evaluation.judge import Judgement, judge
from nebulines.evaluation.methods import QUANTITIES, Method, get_method, prior_options
from nebulines.evaluation.out_of_range import judge_out_of_range
from nebulines.evaluation.published import published
from nebulines.evaluation.saliency import best_saliency, method_saliency
from nebulines.evaluation.tables import (
    bins_table,
    calibration_table,
    paper_table,
    range_table,
    records,
)
from nebulines.io.atomic import atomic_path
from nebulines.plots.evaluation import write_figures
from nebulines.reports.page import pictures, prepare_folder, write_numbers, write_page

LEGEND = """Spectra with white noise and a peak of Hα over noise drawn uniformly from the S/N given,
from a stream of seeds that no training draws from. **RMS** is the root mean square of measured -
true [km/s]; rows whose flags tell a user not to trust the velocity are counted in *flagged* and
left out of everything but *RMS with flagged*. **RMS/CRLB** divides it by the root mean square of
the Cramér-Rao bound of the very same spectra (for broadening: those with a true one above
20 km/s); 1 is the best an unbiased method can do, a posterior mean can do better by its prior.
**stated width** is the root mean square of the method's own errors. Coverages are of the central
intervals of the posterior, with the binomial error of this sample; **KS of PIT** is the distance
of the probability integral transform from uniform. `kinematics` is told the ranges of velocity and
broadening that the set was drawn from (its flat prior); `fit` and `both` search +-1000 km/s and 0
to 500 km/s."""

PRIOR_NOTE = """The errors of this method are taken for two independent normal laws. They know
nothing of the prior that the truths were drawn from, so ranks and TARP are expected to differ from
uniform near the edges of the prior; coverage is not affected."""


def evaluate(
    name: str,
    folder: Path,
    *,
    n: int = 20_000,
    seed: int = 1,
    weights: Path | None = None,
    resolution: float = 5000.0,
    command: str = "nebulines evaluate",
    saliency_spectra: int = 10,
) -> list[Path]:
    """Judge a method on held-out SN3 spectra and write tables and figures.

    Args:
        name: of the method, see `nebulines.evaluation.methods.method_names`.
        folder: for the report; made where it is missing.
        n: spectra of the held-out set; a tenth of it (100 or more) for each case out of range.
        seed: of the held-out stream.
        weights: file of a network's weights, or None for those that are shipped.
        resolution: nominal R of SITELLE's SN3.
        command: that was given, for the page.
        saliency_spectra: spectra that the saliency is averaged over; 0 leaves it out.

    Returns:
        The files: NAME.md, NAME.json, NAME_answers.ecsv and figures.

    Raises:
        UsageError: an unknown method, too few spectra, a folder that cannot be made.
    """
    if n < 100:
        raise UsageError(f"--n must be 100 or more for statistics to mean anything, not {n}")
    if not resolution > 200:
        raise UsageError(f"--resolution must be above 200, not {resolution:g}")
    source = sn3(resolution)
    method = get_method(name, weights=weights, **prior_options(name, source))
    folder = prepare_folder(folder)
    held_out = draw(source, n, seed=seed)
    judgement = judge(name, method, held_out)
    verdicts = judge_out_of_range(method, max(100, n // 10), seed=seed)
    saliency = _saliency(judgement, method, saliency_spectra) if saliency_spectra else None
    figures = write_figures(judgement, folder, saliency=saliency)
    ranges = range_table({name: verdicts})
    parts = [*page_parts(judgement), "## Out of range (R 4800-5000)", ranges, pictures(figures)]
    title = f"{name}: {held_out.source.title}"
    numbers = records(judgement) | {"out_of_range": [v._asdict() for v in verdicts]}
    return [
        write_page(folder / f"{name}.md", title, command, parts),
        write_numbers(folder / f"{name}.json", command, numbers),
        write_answers(folder / f"{name}_answers.ecsv", judgement),
        *figures,
    ]


def page_parts(judgement: Judgement) -> list[str]:
    """Tables of one judgement with what explains them."""
    resolution = float(np.max(judgement.held_out.source.options["resolution"]))
    rate = f"{judgement.spectra_per_second:,.0f} spectra/s, {len(judgement.trusted):,} at once."
    channels = judgement.held_out.spectra.axis.n_channels
    about = f"{judgement.held_out.source.title}, {channels} channels; {rate}"
    parts = [about, LEGEND, "## Per bin of S/N [km/s]", bins_table(judgement)]
    if judgement.coverage:
        parts += ["## Calibration", calibration_table(judgement)]
    if judgement.coverage and judgement.measured.draws is None:
        parts.append(PRIOR_NOTE)
    paper = published("rhea2020")["citation"]
    beside = paper_table([judgement], resolution)
    return [*parts, "## Beside the paper [km/s]", beside, f"Paper: {paper}."]


def _saliency(
    judgement: Judgement, method: Method, count: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    found = method_saliency(method, judgement.held_out.spectra[:count])
    return found, best_saliency(judgement.held_out, rows=count)


def write_answers(path: Path, judgement: Judgement) -> Path:
    """Truth, answers and bounds of every spectrum as an ECSV table."""
    from astropy.table import Table

    held_out, measured = judgement.held_out, judgement.measured
    table = Table(meta={"method": judgement.method, "source": held_out.source.title})
    table["snr"] = held_out.truth["snr"]
    for q in QUANTITIES:
        table[f"{q}_true"] = held_out.truth[q]
        table[q] = getattr(measured, q)
        table[f"{q}_err"] = getattr(measured, f"{q}_err")
        table[f"{q}_bound"] = getattr(held_out.bound, f"{q}_kms")
        for name in (f"{q}_true", q, f"{q}_err", f"{q}_bound"):
            table[name].unit = "km/s"
            table[name].info.format = ".4f"
    table["flags"] = measured.flags
    with atomic_path(path) as partial:
        table.write(partial, format="ascii.ecsv", overwrite=True)
    return path

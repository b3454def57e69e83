"""The sections of ``nebulines reproduce kinematics`` that need simulated spectra only."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.evaluation.blends import draw_blends, judge_blends
from nebulines.evaluation.held_out import Source, draw, held_out_seed, sn3
from nebulines.evaluation.judge import Judgement, judge
from nebulines.evaluation.out_of_range import judge_out_of_range
from nebulines.evaluation.published import published
from nebulines.evaluation.saliency import best_saliency, method_saliency
from nebulines.evaluation.tables import bins_table, markdown, paper_table, range_table, records
from nebulines.fitting.columns import PROFILE_STATISTIC
from nebulines.plots.comparison import absolute_residual_figure, scatter_figure
from nebulines.plots.evaluation import write_figures
from nebulines.plots.style import save_figure
from nebulines.reports.evaluate import LEGEND
from nebulines.reports.kinematics.plan import Plan
from nebulines.reports.page import pictures
from nebulines.reports.section import Section
from nebulines.spectra import Flag, Spectra
from nebulines.synthetic import simulate

RESOLUTIONS = (5000.0, 2000.0, 1000.0)
_WITH_FIGURES = 5000.0  # the resolution of the figures of the paper
_NOMINAL_STREAM = 30
_BINNED_CUBE, _WHOLE_CUBE = 62_500, 4_000_000
_SALIENCY_ROWS = 10
_REPEATS = 5  # of a timing


def resolutions(plan: Plan) -> Section:
    """R 5000, 2000 and 1000: every method beside the paper; at R 5000 its figures too."""
    parts, paths = [LEGEND], []
    numbers: dict[str, Any] = {}
    for stream, resolution in enumerate(RESOLUTIONS):
        held_out = draw(sn3(resolution), plan.n, seed=plan.seed, stream=stream)
        judgements, refused = [], []
        for name, method in plan.methods.items():
            try:
                judgements.append(judge(name, method, held_out))
            except (UsageError, InputError) as error:
                refused.append(f"`{name}` is not made for it: {error}")
        section = _one_resolution(plan, resolution, judgements)
        parts += [*section.parts, *refused]
        numbers |= section.numbers
        paths += section.paths
    return Section(parts, numbers, paths)


def _one_resolution(plan: Plan, resolution: float, judgements: list[Judgement]) -> Section:
    title = f"R {resolution:.0f}"
    if not judgements:
        return Section([f"### {title}", "No method serves this resolution."])
    channels = judgements[0].held_out.spectra.axis.n_channels
    steps = (
        f"{judgements[0].held_out.source.title}, {channels} channels (as a real "
        "scan of that resolution has; the paper does not give its own number)."
    )
    doubled = {j.method: int(np.sum(j.measured.flags & int(Flag.SECOND_COMPONENT) != 0))
               for j in judgements if j.measured.stated}  # fmt: skip
    parts = [f"### {title} [km/s]", steps, paper_table(judgements, resolution), _doubled(doubled)]
    for judgement in judgements:
        parts += [f"`{judgement.method}` per bin of S/N:", bins_table(judgement)]
    rows = [r for r in published("rhea2020")["scatter"] if r["resolution"] == resolution]
    row = rows[0] if rows else {}
    figure = scatter_figure(judgements, row, title=f"SITELLE SN3, {title}")
    paths = save_figure(figure, plan.folder / f"scatter_R{resolution:.0f}", formats=("png",))
    if resolution == _WITH_FIGURES:
        for judgement in judgements:
            method = plan.methods[judgement.method]
            found = method_saliency(method, judgement.held_out.spectra[:_SALIENCY_ROWS])
            best = best_saliency(judgement.held_out, rows=_SALIENCY_ROWS)
            paths += write_figures(judgement, plan.folder, saliency=(found, best))
    parts.append(pictures(paths))
    numbers = [records(j) | {"taken_for_two": doubled.get(j.method)} for j in judgements]
    return Section(parts, {title: numbers}, paths)


def _doubled(found: dict[str, int]) -> str:
    counts = ", ".join(f"`{name}` {count}" for name, count in found.items())
    return f"Single lines that were taken for two components: {counts}."


def nominal(plan: Plan) -> Section:
    """R 2000 and 1000 alone, where the spectra of the other sets lie up to 200 below."""
    rows: list[list[Any]] = []
    numbers: dict[str, Any] = {}
    for stream, resolution in enumerate(RESOLUTIONS[1:], start=_NOMINAL_STREAM):
        title = f"R {resolution:.0f} alone"
        options = sn3(resolution).options | {"resolution": resolution}
        held_out = draw(Source(title, options=options), plan.n, seed=plan.seed, stream=stream)
        for name, method in plan.methods.items():
            try:
                whole = records(judge(name, method, held_out))["bins"][-2:]
            except (UsageError, InputError):
                continue
            rows.append([title, name, *(found["rms"] for found in whole)])
            numbers.setdefault(f"R {resolution:.0f}", []).append({"method": name, "bins": whole})
    text = (
        f"{plan.n:,} spectra of each, of the same ranges otherwise. The error of a velocity falls "
        "with R: spectra up to 200 below are worse."
    )
    header = ["set", "method", "RMS of velocity [km/s]", "RMS of broadening [km/s]"]
    return Section([text, markdown(header, rows)], numbers)


def bright(plan: Plan) -> Section:
    """S/N 5 to 80: absolute residuals against the S/N (figures 9 to 11 of the paper)."""
    source = sn3(snr=(5.0, 80.0))
    held_out = draw(source, plan.n, seed=plan.seed, stream=10)
    edges = (5.0, 15.0, 30.0, 50.0, 80.0)
    judgements = [judge(name, m, held_out, edges=edges) for name, m in plan.methods.items()]
    title = "Simulated SN3 spectra, R 5000, S/N to 80: single component"
    figure = absolute_residual_figure(judgements, title=title)
    paths = save_figure(figure, plan.folder / "absolute_residuals", formats=("png",))
    text = (
        "Spectra of S/N up to 80, beyond the 5 to 30 of the other sets. The paper's figures 9 and "
        "10 show a field of M33, its figure 11 simulated spectra of S/N 20 to 80."
    )
    tables = [t for j in judgements for t in (f"`{j.method}`", bins_table(j))]
    numbers = {j.method: records(j) for j in judgements}
    return Section([text, *tables, pictures(paths)], numbers, paths)


def out_of_range(plan: Plan) -> Section:
    """Spectra that no network was trained for: flagged, covered, or silently wrong."""
    verdicts = {
        name: judge_out_of_range(method, plan.n_case, seed=plan.seed)
        for name, method in plan.methods.items()
    }
    text = (
        "A method that states no errors covers nothing; it can only flag. Of two components the "
        "truth is the brighter one."
    )
    numbers = {name: [v._asdict() for v in found] for name, found in verdicts.items()}
    return Section([text, range_table(verdicts)], numbers)


def blends(plan: Plan) -> Section:
    """Two components: what can be told apart, and what the answers are worth."""
    found = draw_blends(plan.n_case, seed=plan.seed)
    rows: list[list[Any]] = []
    numbers = {name: judge_blends(method, found) for name, method in plan.methods.items()}
    for name, bins in numbers.items():
        for row in bins:
            shares = [f"{row[k]:.1f}" for k in ("ideal", "flagged", "brighter", "sum", "safe")]
            rows.append([name, f"{row['low']:g}-{row['high']:g}", row["n"], *shares])
    header = ["method", "lambda", "n", "ideal test %", "flagged %", "covers the brighter %",
              "covers the sum %", "safe %"]  # fmt: skip
    text = (
        f"{plan.n_case:,} spectra of two components, 60 to 200 km/s apart, the second of 0.4 to 1 "
        "times the flux; R 5000, S/N of the first 5 to 30. *lambda* is the chi2 that the best fit "
        "of one component leaves without noise: a test that knew both components would see a "
        "normal deviate of mean sqrt(lambda), and *ideal test* is how often that exceeds the "
        f"threshold of the flag ({PROFILE_STATISTIC:g}, exceeded by chance in about 10 of "
        "1,000 single lines). *brighter*, *sum*: velocity and broadening within 3 stated errors "
        "of the brighter component, and of both together (flux-weighted mean and dispersion). "
        "*safe*: flagged, or covers the brighter, or, where lambda is below the threshold and one "
        "component is all that the spectrum says, the sum. The last row of a method is all."
    )
    return Section([text, markdown(header, rows)], numbers)


def timing(plan: Plan) -> Section:
    """Time for the 62 500 spectra of a binned cube and the 4 million of a whole one."""
    _, spectra = simulate("sitelle-sn3", plan.n_timing, held_out_seed(plan.seed, 20))
    rows: list[list[Any]] = []
    numbers: dict[str, Any] = {}
    for name, method in plan.methods.items():
        timed = {name: method}
        if hasattr(method, "kinematics_only"):
            timed[f"{name}, velocity and broadening alone"] = method.kinematics_only
        for title, call in timed.items():
            found = _rate(call, spectra)
            numbers.setdefault(name, {})[title] = found._asdict()
            rows += _times(title, found, plan.n_timing)
    for row in published("rhea2020")["timing"]:
        seconds, size = float(row["seconds"]), row["spectra"]
        where = f"paper, {row['where']}: {row['text']}"
        rows.append([row["method"], size, seconds, size / seconds, None, where])
    header = ["method", "spectra", "seconds", "spectra/s", "processor us a spectrum", "how"]
    text = (
        "Spectra in memory, 842 channels, compiled beforehand, from the normalisation to the "
        f"answer; the fastest of {_REPEATS} runs. *Processor* is the time of all cores together, "
        "which other work on the machine stretches least; on c cores, 1e6 c over it is the rate "
        "of a machine that does nothing else. The paper's on a server of two "
        "Xeon E5-2630 v3. The paper gives no number of spectra: 4 million pixels, binned 8 x 8."
    )
    return Section([text, markdown(header, rows)], numbers)


class _Rate(NamedTuple):
    """Seconds of the first call, and of the later ones spectra per second of the fastest and
    microseconds of processor time a spectrum of the cheapest."""

    first_call_s: float
    spectra_per_second: float
    processor_us: float


def _times(name: str, found: _Rate, n_timing: int) -> list[list[Any]]:
    """Rows for a binned cube and a whole one: measured where that many were timed."""
    rows: list[list[Any]] = []
    rate = found.spectra_per_second
    for size in (_BINNED_CUBE, _WHOLE_CUBE):
        how = "measured" if size == n_timing else f"from the rate of {n_timing:,}"
        rows.append([name, size, size / rate, rate, found.processor_us, how])
    return rows


def _rate(method: Any, spectra: Spectra) -> _Rate:
    begin = time.perf_counter()
    method(spectra)
    first, seconds, processor = time.perf_counter() - begin, [], []
    for _ in range(_REPEATS):
        begin, busy = time.perf_counter(), time.process_time()
        method(spectra)
        seconds.append(time.perf_counter() - begin)
        processor.append(time.process_time() - busy)
    n = len(spectra)
    return _Rate(first, n / min(seconds), 1e6 * min(processor) / n)

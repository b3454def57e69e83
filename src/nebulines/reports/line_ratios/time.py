"""The section of ``nebulines reproduce line-ratios`` that takes the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from nebulines.evaluation.held_out import held_out_seed
from nebulines.evaluation.line_ratio_methods import dense_ensemble, joint_fit
from nebulines.evaluation.published import published
from nebulines.evaluation.tables import markdown
from nebulines.reports.line_ratios.stages import stage_rows, stages
from nebulines.reports.line_ratios.workshop import Workshop
from nebulines.reports.section import Section
from nebulines.training.line_ratios.spectra import paper_objects

_WHOLE_CUBE = 4_000_000
_CALLS = 5


def timing(work: Workshop) -> Section:
    """Objects per second, beside the 18 h of the paper's network for a whole field."""
    n = work.plan.n_timing
    objects = paper_objects(n, held_out_seed(work.plan.seed, 71))
    fluxes, dense = work.ours.fluxes(objects), dense_ensemble(work.ann)
    jobs: dict[str, Callable[[], Any]] = {
        "line_ratios, the whole result table": lambda: _table(objects.bands),
        "its fluxes, from the spectra": lambda: work.ours.fluxes(objects),
        "its posterior, from the fluxes": lambda: _posterior(work, fluxes),
        "line_ratio_ann": lambda: dense(objects),
        "joint fit from the truth": lambda: joint_fit(objects),
    }
    field = _field(_block_of_a_field(), held_out_seed(work.plan.seed, 73))
    field_jobs: dict[str, Callable[[], Any]] = {
        "line_ratios, the whole result table, one field": lambda: _table(field),
        "its fluxes, from the spectra, one field": lambda: _network_fluxes(field),
        "joint fit with its velocity search, one field": lambda: _joint_block(field),
    }
    rows: list[list[Any]] = []
    numbers = {}
    timed = [(n, *job) for job in jobs.items()]
    timed += [(len(field[0]), *job) for job in field_jobs.items()]
    for count, name, job in timed:
        wall, processor = (seconds / count for seconds in _seconds(job))
        numbers[name] = {"per_second": 1.0 / wall, "processor_us": 1e6 * processor}
        rows.append([name, 1.0 / wall, 1e6 * processor, _WHOLE_CUBE * wall / 3600.0, "here"])
    for row in published("rhea2021")["timing"]:
        rate = row["spectra"] / row["seconds"]
        rows.append([row["method"], rate, None, row["seconds"] / 3600.0, f"paper, {row['where']}"])
    header = [
        "method", "objects/s", "processor time [us/object]", "4 million objects [h]", "source",
    ]  # fmt: skip
    text = (
        f"{n:,} objects of 171 + 219 + 842 channels in memory, the fastest of {_CALLS} calls after "
        "the first. Processor time is that of all cores together, and hardly depends on what else "
        "the machine does: two free cores do 2,000,000 / (processor time) objects/s. **One "
        f"field**: {len(field[0]):,} objects with one R in each band, as many as are read at once, "
        "which tables serve (see `docs/joint.md`); the paper's objects have an R each."
    )
    parts, numbers["stages"] = _stages(field)
    return Section([text, markdown(header, rows), *parts], numbers)


def _stages(field: Any) -> tuple[list[str], dict[str, float]]:
    """Where the time of one field goes."""
    n = len(field[0])
    seconds = {name: _seconds(job) for name, job in stages(field).items()}
    rows = stage_rows(seconds, n)
    text = (
        f"Where the time of `line_ratios` goes, the same {n:,} objects of one field. What is left "
        "over is the bands' own preparation and the table. Two cores have 40 us of processor "
        "time for an object at 50,000 objects/s."
    )
    header = ["stage", "processor time [us/object]", "share of the whole [%]"]
    return [text, markdown(header, rows)], {name: us for name, us, _ in rows}


def _posterior(work: Workshop, fluxes: Any) -> Any:
    from nebulines.cubes.network.ratio_columns import ratio_columns

    return ratio_columns(fluxes, prior=work.ours.prior, network=work.ours.pretrained)


def _block_of_a_field() -> int:
    """Objects of three cubes that are read, and measured, at once."""
    from nebulines.cubes.joint.measure import joint_block
    from nebulines.networks.line_ratios.ann import CHANNELS

    return joint_block(CHANNELS)


def _field(n: int, seed: int) -> Any:
    """Bands of n objects as one field shows them."""
    from nebulines.synthetic import simulate
    from nebulines.training.line_ratios.spectra import BANDS

    return simulate(BANDS, n=n, seed=seed, prior="hii", ebv=(0.0, 0.5))[1]


def _network_fluxes(bands: Any) -> Any:
    from nebulines.cubes.network.line_fluxes import network_fluxes
    from nebulines.fitting.config import FitConfig
    from nebulines.fitting.joint.problem import resolve_bands

    return network_fluxes(bands, resolve_bands(bands, FitConfig(amplitudes="tied")))


def _joint_block(bands: Any) -> Any:
    from nebulines.fitting.config import FitConfig
    from nebulines.fitting.joint.block import fit_joint_block
    from nebulines.fitting.joint.problem import resolve_bands

    return fit_joint_block(bands, resolve_bands(bands, FitConfig()), with_model=False)


def _table(bands: Any) -> Any:
    from nebulines.cubes.network.line_ratios import estimate_ratios

    return estimate_ratios(bands)


def _seconds(job: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the wall clock and of the processor that a call takes, once compiled."""
    job()
    found = []
    for _ in range(_CALLS):
        begin, used = time.perf_counter(), time.process_time()
        job()
        found.append((time.perf_counter() - begin, time.process_time() - used))
    return min(wall for wall, _ in found), min(used for _, used in found)

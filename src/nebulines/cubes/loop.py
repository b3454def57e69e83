"""The loop over blocks: read the next one while this one is fitted, hand the values on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from nebulines.cubes import engine
from nebulines.cubes.cluster import fit_on_cluster
from nebulines.cubes.files.journal import Journal
from nebulines.cubes.files.sinks import FileSink, Piece, Sink, remove
from nebulines.fitting.config import FitConfig
from nebulines.spectra import Spectra

BLOCK_BYTES = 256_000_000
"""Memory that one block of spectra may take, with its noise and its model."""

_BYTES_PER_CHANNEL = 16


class Plan(Protocol):
    """Spectra cut into blocks: one of the plans of `spaxels` or `joint.spectra`."""

    @property
    def jobs(self) -> list[tuple[int, Any]]:
        """(number, block) of all blocks."""

    @property
    def n_spectra(self) -> int:
        """Number of spectra to fit."""

    def read(self, block: Any) -> Any:
        """The spectra of a block; called in a thread while the block before is fitted."""

    def place(self, block: Any, spectra: Any, fitted: Any) -> Piece:
        """Values of a fitted block."""


def default_block(n_channels: int, n: int | None = None) -> int:
    """Spectra in a block of at most `BLOCK_BYTES`: flux, variance, mask and model.

    Args:
        n_channels: of each spectrum.
        n: number of spectra, which are then shared out evenly: a small last block would miss
            what serves many spectra at once.

    Example:
        >>> default_block(842), default_block(3681), default_block(842, 40_000)
        (19002, 4346, 13334)
    """
    most = max(64, BLOCK_BYTES // (n_channels * _BYTES_PER_CHANNEL))
    return most if n is None else -(-n // -(-max(n, 1) // most))


def run_blocks(
    plan: Plan,
    config: FitConfig,
    *,
    sinks: Sequence[Sink],
    journal: Journal,
    with_model: bool = True,
    progress: bool | None = None,
    method: str = "fit",
    fit_block: Callable[..., Any] | None = None,
    scheduler: str | None = None,
) -> int:
    """Fit every block that is not done and write its values.

    Args:
        plan: the blocks.
        config: resolved configuration.
        sinks: what takes the pieces.
        journal: knows the numbers of finished blocks, takes theirs and the notes of the others.
        with_model: whether a sink wants the best-fit model.
        progress: bar on stderr; None = when that is a terminal.
        method: one of `engine.METHODS`.
        fit_block: what fits a block in place of the method's engine.
        scheduler: address of a Dask scheduler whose workers fit the blocks; None = here.

    Returns:
        Number of spectra fitted.
    """
    fit = partial(_fit, method, fit_block, config, with_model)
    jobs = [job for job in plan.jobs if job[0] not in journal.done]
    blocks = (
        fit_on_cluster(scheduler, jobs, plan.read, fit)
        if scheduler
        else ((*block, fit(block[2])) for block in _prefetched(jobs, plan.read))
    )
    n_fitted = 0
    with _bar(plan.n_spectra, progress) as bar:
        for number, job, spectra, fitted in blocks:
            piece = plan.place(job, spectra, fitted)
            for sink in sinks:
                sink.write(piece)
            journal.add_notes(fitted.notes)
            journal.done.add(number)
            journal.save()
            bar.update(len(spectra))
            n_fitted += len(spectra)
    return n_fitted


def _fit(
    method: str,
    fit_block: Callable[..., Any] | None,
    config: FitConfig,
    with_model: bool,
    spectra: Any,
) -> Any:
    """Fit a block, on whatever machine this runs."""
    work = fit_block or engine.load(method).fit_block
    return work(spectra, config, with_model=with_model)


def _bar(total: int, progress: bool | None) -> Any:
    from tqdm import tqdm

    shown = sys.stderr.isatty() if progress is None else progress
    return tqdm(total=total, unit=" spectra", unit_scale=True, disable=not shown, file=sys.stderr)


def _prefetched(
    jobs: Sequence[tuple[int, Any]], read: Callable[[Any], Any]
) -> Iterator[tuple[int, Any, Any]]:
    """Each job with its spectra, the next one being read meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read, jobs[0][1]) if jobs else None
        for (number, job), following in zip(jobs, [*jobs[1:], None], strict=True):
            assert coming is not None
            spectra = coming.result()
            coming = pool.submit(read, following[1]) if following else None
            yield number, job, spectra


def in_memory(spectra: Spectra) -> Spectra:
    """The same spectra with arrays read and in the machine's byte order."""
    changes: dict[str, Any] = {}
    for name in ("flux", "variance", "mask"):
        value = getattr(spectra, name)
        if value is not None:
            value = np.asarray(value)
            changes[name] = np.ascontiguousarray(value, value.dtype.newbyteorder("="))
    return replace(spectra, **changes)


def run_to_files(
    plan: Plan,
    config: FitConfig,
    *,
    journal: Journal,
    files: Sequence[FileSink],
    resume: bool,
    **options: Any,
) -> int:
    """`run_blocks` into files that take their final names together at the end.

    When the run fails or is interrupted nothing is left behind, except with ``resume``: then
    the unfinished files and the journal stay for the next run.
    """
    if not all(file.intact for file in files):
        journal.restart()
        for file in files:
            file.canvas = None
    leftovers = [*filter(None, [journal.path]), *(file.partial for file in files)]
    try:
        n_fitted = run_blocks(plan, config, sinks=files, journal=journal, **options)
        for file in files:
            file.finish()
        for file in files:
            os.replace(file.partial, file.final)
    except BaseException:
        if not resume:
            remove(leftovers)
        raise
    remove(leftovers)
    return n_fitted

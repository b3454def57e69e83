"""Blocks of a run on a Dask cluster: read here, fitted by its workers, handed on in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nebulines.errors import NebulinesError, UsageError

AHEAD = 2
"""Blocks that are read for each worker before the first of them must be fitted."""
ANSWER_SECONDS = 20
"""How long a scheduler may take to answer."""


def fit_on_cluster(
    address: str,
    jobs: Sequence[tuple[int, Any]],
    read: Callable[[Any], Any],
    fit: Callable[[Any], Any],
) -> Iterator[tuple[int, Any, Any, Any]]:
    """Fit blocks with the workers of a Dask scheduler.

    Args:
        address: of the scheduler, for example ``tcp://10.0.0.1:8786``; its workers need this
            package too.
        jobs: (number, job); a job is whatever ``read`` takes.
        read: spectra of a job, here: workers need not see the file.
        fit: spectra -> fitted block, on a worker.

    Yields:
        Number, job, spectra and fitted block, in the order of ``jobs``.

    Raises:
        UsageError: Dask is not installed, or no scheduler answers there.
        NebulinesError: the scheduler has no workers.
    """
    with _connect(address) as client:
        workers = len(client.nthreads())
        if not workers:
            raise NebulinesError(f"the Dask scheduler at {address} has no workers: start some")
        waiting: deque[tuple[int, Any, Any, Any]] = deque()
        for number, job in jobs:
            if len(waiting) >= AHEAD * workers:
                yield _finished(waiting.popleft())
            spectra = read(job)
            waiting.append((number, job, spectra, client.submit(fit, spectra, pure=False)))
        while waiting:
            yield _finished(waiting.popleft())


def _finished(waiting: tuple[int, Any, Any, Any]) -> tuple[int, Any, Any, Any]:
    number, job, spectra, future = waiting
    return number, job, spectra, future.result()


def _connect(address: str) -> Any:
    try:
        from dask.distributed import Client
    except ImportError:
        raise UsageError(
            "a scheduler needs the package dask: pip install 'nebulines[cluster]'"
        ) from None
    try:
        return Client(address, timeout=ANSWER_SECONDS)
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler answers at {address}: {error}") from error

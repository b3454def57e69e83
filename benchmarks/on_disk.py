"""``nebulines fit`` as a user starts it: files in, files out, wall time and memory."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.files import Cost, run_command, run_script, write_cube, write_rows
from benchmarks.in_memory import sn3

_FIRST_FIT = "import sys, nebulines as nl; nl.fit(nl.read(sys.argv[1]))"
_IMPORT = "import nebulines"


def measure_start(scratch: Path, repeats: int) -> dict[str, Any]:
    """The first spectrum: a file of one row, from the start of the command to its exit, with an
    empty and with a warm compilation cache; and a fit from Python without any output."""
    cache, one = scratch / "cache", scratch / "one.fits"
    write_rows(one, sn3(1, 21), 1)
    arguments = ["fit", str(one), "-o", str(scratch / "one_out.fits"), "-q"]
    cold = run_command(arguments, cache)
    run_script(_FIRST_FIT, [str(one)], cache)
    return {
        "cold_seconds": cold.seconds,
        "command": _median(lambda: run_command(arguments, cache), repeats),
        "python": _median(lambda: run_script(_FIRST_FIT, [str(one)], cache), repeats),
        "import": _median(lambda: run_script(_IMPORT, [], cache), repeats),
        "help": _median(lambda: run_command(["--help"], cache), repeats),
    }


def _median(work: Callable[[], Cost], repeats: int) -> dict[str, Any]:
    costs = [work() for _ in range(max(1, repeats))]
    return {
        "seconds": statistics.median(cost.seconds for cost in costs),
        "memory_mb": max(cost.memory_mb for cost in costs),
        "error": next((cost.error for cost in costs if cost.error), ""),
    }


def measure_rows(
    scratch: Path, sizes: tuple[int, ...], repeats: int, start_seconds: float
) -> list[dict[str, Any]]:
    """Row-stacked files of 842 channels with FLUX and ERR: wall time and memory by size."""
    spectra, found = sn3(min(10_000, max(sizes)), 22), []
    for n in sizes:
        source = scratch / "rows.fits"
        size = write_rows(source, spectra, n)
        arguments = ["fit", str(source), "-o", str(scratch / "rows_out.fits"), "-q"]
        run_command(arguments, scratch / "cache")  # fills the compilation cache
        cost = _median(partial(run_command, arguments, scratch / "cache"), repeats)
        source.unlink()
        found.append(
            {
                "n": n,
                "file_mb": size,
                **cost,
                "per_second": n / cost["seconds"],
                "per_second_after_start": n / max(cost["seconds"] - start_seconds, 1e-9),
            }
        )
    return found


def measure_cube(scratch: Path, size: int, repeats: int) -> dict[str, Any]:
    """A SITELLE HDF5 cube with a calibration map: maps and model cube."""
    source = scratch / "cube.hdf5"
    megabytes = write_cube(source, size)
    lines = "NII6548,HALPHA6563,NII6583,SII6716,SII6731"
    arguments = ["fit", str(source), "-o", str(scratch / "cube_out"), "--lines", lines, "-q"]
    run_command(arguments, scratch / "cache")
    cost = _median(lambda: run_command(arguments, scratch / "cache"), repeats)
    quiet = [*arguments, "--no-model"]
    maps_only = _median(lambda: run_command(quiet, scratch / "cache"), repeats)
    source.unlink()
    n = size * size
    return {
        "shape": [size, size, 842],
        "file_mb": megabytes,
        **cost,
        "per_second": n / cost["seconds"],
        "maps_only": {**maps_only, "per_second": n / maps_only["seconds"]},
    }


def measure_demo(scratch: Path, *, warm: bool) -> dict[str, Any]:
    """``nebulines demo``, with an empty and (``warm``) with a warm compilation cache."""
    if find_spec("mpdaf") is None:
        return {"error": "mpdaf, which carries the cube, is not installed"}
    arguments = ["demo", "-o", str(scratch / "demo"), "-q"]
    cold = run_command(arguments, scratch / "demo_cache")
    again = run_command(arguments, scratch / "demo_cache") if warm else None
    return {
        "cold_seconds": cold.seconds,
        "seconds": again.seconds if again else None,
        "memory_mb": cold.memory_mb,
        "error": cold.error or (again.error if again else ""),
    }

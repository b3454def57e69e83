"""Time from a star-formation history to ten equivalent widths, and to a spectrum with lines.

``python -m benchmarks.dsps_lines`` writes ``benchmarks/results/dsps_lines.md`` and ``.json``; it
needs the extra ``dsps``. Parameters are those of ``examples/paint_dsps.py``: time scale of star
formation, metallicity, velocity dispersion of the gas.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.reporting import judged, save, table

TARGET_US = 400.0
_EXAMPLE = Path(__file__).parents[1] / "examples" / "paint_dsps.py"


def example() -> Any:
    """The module of the example."""
    spec = importlib.util.spec_from_file_location("paint_dsps", _EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def microseconds(call: Callable[[], Any], repeats: int) -> tuple[float, float, float]:
    """Shortest and median time of a compiled call, and processor time of all threads, which what
    else the machine does changes little."""
    import jax

    jax.block_until_ready(call())
    times, began = [], time.process_time()
    for _ in range(repeats):
        begin = time.perf_counter()
        jax.block_until_ready(call())
        times.append(1e6 * (time.perf_counter() - begin))
    busy = 1e6 * (time.process_time() - began) / repeats
    return min(times), float(np.median(times)), busy


def agreement(function: Any, at: Any) -> float:
    """Largest difference of the Jacobian from central finite differences, relative."""
    import jax
    import jax.numpy as jnp

    exact, worst, step = np.asarray(jax.jacfwd(function)(at)), 0.0, 1e-5
    for k in range(len(at)):
        move = jnp.zeros(len(at)).at[k].set(step)
        difference = np.asarray(function(at + move) - function(at - move)) / (2.0 * step)
        scale = max(float(np.abs(exact[..., k]).max()), 1e-12)
        worst = max(worst, float(np.abs(exact[..., k] - difference).max()) / scale)
    return worst


@click.command()
@click.option("--repeats", default=500, show_default=True)
def main(repeats: int) -> None:
    """Measure and write to benchmarks/results."""
    module = example()
    import jax
    import jax.numpy as jnp

    at = jnp.array([1.0, -1.9, 4.6])
    functions = {
        "ten widths": lambda v: module.widths(module.Stars(*v)),
        f"spectrum, {len(module.SSP.ssp_wave)} channels": lambda v: module.spectrum(
            module.Stars(*v)
        ),
    }
    rows, results = [], {}
    for name, function in functions.items():
        forward, slope = jax.jit(function), jax.jit(jax.jacfwd(function))
        for what, call in ((name, forward), (f"{name}: Jacobian", slope)):
            least, middle, busy = microseconds(lambda call=call: call(at), repeats)
            verdict = judged(least, most=TARGET_US) if "Jacobian" in what else ""
            rows.append([what, f"{least:.0f}", f"{middle:.0f}", f"{busy:.0f}", verdict])
            results[what] = {"least_us": least, "median_us": middle, "processor_us": busy}
        worst = agreement(forward, at)
        results[f"{name}: Jacobian"]["finite_differences"] = worst
        rows.append([f"{name}: Jacobian against finite differences", f"{worst:.1e}", "", "", ""])
    head = ["DSPS and lines, one galaxy", "shortest [us]", "median [us]", "processor [us]",
            "shortest under 400 us"]  # fmt: skip
    load = f"Load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."
    body = f"{load}\n\n{table(head, rows)}"
    save("dsps_lines", "Lines on DSPS galaxies", results, body)
    click.echo(body)


if __name__ == "__main__":
    from nebulines.runtime import configure

    configure()
    main()

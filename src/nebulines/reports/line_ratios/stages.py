"""Where the time of ``line_ratios`` goes: its stages, one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

WHOLE = "the whole result table"


def stages(bands: Any) -> dict[str, Callable[[], Any]]:
    """What one measurement of objects does, as calls that can be timed.

    Args:
        bands: n rows each.

    Returns:
        Stage -> call; `WHOLE` is all of them.
    """
    from nebulines.cubes.network.line_fluxes import best_answers, line_fluxes_of, measure_at_network
    from nebulines.cubes.network.line_ratios import estimate_ratios
    from nebulines.cubes.network.ratio_columns import ratio_columns
    from nebulines.fitting.config import FitConfig
    from nebulines.fitting.joint.columns import common_columns, described
    from nebulines.fitting.joint.point import measure_jointly
    from nebulines.fitting.joint.problem import resolve_bands

    plan = resolve_bands(bands, FitConfig(amplitudes="tied"))
    at = measure_at_network(bands, plan, with_model=False)
    problem, flags = at.measured.problem, at.flags
    velocity, broadening = (
        np.asarray(part, float) for part in (at.answer.offset, at.answer.broadening)
    )
    fluxes = line_fluxes_of(described(at.measured).fluxes, plan.config.lines or ())
    return {
        "kinematics, by the network `kinematics`": lambda: best_answers(problem),
        "fluxes there, one linear solution a band": lambda: measure_jointly(
            problem, velocity, broadening
        ),
        "covariance, columns and flags": lambda: common_columns(
            at.measured, described(at.measured), flags
        ),
        "posterior of the ratios, by the network `line_ratios`": lambda: ratio_columns(fluxes),
        WHOLE: lambda: estimate_ratios(bands),
    }


def stage_rows(seconds: dict[str, tuple[float, float]], n: int) -> list[list[Any]]:
    """Rows stage, processor time [us/object], share of the whole [%].

    Args:
        seconds: stage -> seconds of the wall clock and of the processor.
        n: objects.

    Example:
        >>> stage_rows({"fluxes": (2.0, 1.0), WHOLE: (4.0, 4.0)}, 1_000_000)
        [['fluxes', 1.0, 25.0], ['the whole result table', 4.0, 100.0]]
    """
    whole = seconds[WHOLE][1]
    return [[name, 1e6 * used / n, 100.0 * used / whole] for name, (_, used) in seconds.items()]

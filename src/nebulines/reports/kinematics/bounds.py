"""The section of the report on kinematics that says what can be reached at all."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.evaluation.exact_posterior import exact_posterior
from nebulines.evaluation.held_out import draw, sn3
from nebulines.evaluation.tables import Cell, markdown
from nebulines.reports.kinematics.plan import Plan
from nebulines.reports.section import Section

BOUND_RESOLUTIONS = (2000.0, 1000.0)
_BOUND_STREAM = 30


def bounds(plan: Plan) -> Section:
    """The exact posterior at the resolutions where the data say less than the prior."""
    rows: list[list[Cell]] = []
    numbers: dict[str, Any] = {}
    for k, resolution in enumerate(BOUND_RESOLUTIONS):
        held_out = draw(sn3(resolution), plan.n_exact, seed=plan.seed, stream=_BOUND_STREAM + k)
        found, title = exact_posterior(held_out), f"R {resolution:.0f}"
        numbers[title] = {
            quantity: _risk(
                getattr(found, f"{quantity}_err"),
                getattr(found, quantity) - held_out.truth[quantity],
                getattr(held_out.bound, f"{quantity}_kms"),
            )
            for quantity in ("velocity", "broadening")
        }
        for quantity, one in numbers[title].items():
            rows.append([title, quantity, plan.n_exact, *one.values()])
    text = (
        "The posterior of velocity and broadening on a grid, with exactly the noise, the line "
        "shape and the ranges that the spectra were drawn from, and nothing assumed of the ratios "
        "of the lines. The mean of a posterior has the smallest mean square error that any "
        "estimate can have that knows as much. *expected* is the root mean square of the "
        "posterior's own standard deviation, whose sampling error ± is smaller than that of the "
        "*measured* error of the same means."
    )
    header = ["set", "quantity", "n", "expected RMS [km/s]", "±", "measured RMS [km/s]",
              "CRLB, RMS [km/s]"]  # fmt: skip
    return Section([text, markdown(header, rows)], numbers)


def _risk(width: np.ndarray, miss: np.ndarray, bound: np.ndarray) -> dict[str, float]:
    """Expected root mean square error with its sampling error, the measured one, the CRLB's."""
    square = np.square(width)
    expected = float(np.sqrt(square.mean()))
    error = float(square.std(ddof=1) / (2.0 * expected * np.sqrt(len(square))))
    measured, limit = (float(np.sqrt(np.mean(x**2))) for x in (miss, bound))
    return {"expected": expected, "error": error, "measured": measured, "bound": limit}

"""A mock cube made from maps of a real field, measured, and held against the maps."""

from __future__ import annotations

from nebulines.errors import UsageError
from nebulines.reports.kinematics import Plan, Section


def mock_field(plan: Plan) -> Section:
    """Simulate a cube from truth maps, fit it, and draw the residuals (figure 8 of the paper)."""
    if plan.truth_maps is None:
        raise UsageError("give the folder of a field's maps with --truth-maps")
    raise UsageError("mock cubes are not available yet")

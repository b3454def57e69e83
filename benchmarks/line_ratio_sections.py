"""Single sections of ``nebulines reproduce line-ratios``, without the rest of it.

    python -m benchmarks.line_ratio_sections FOLDER Calibration Dust [--weights ANN] [--seed 1]

writes ``sections.md`` and ``sections.json``, which hold what was made so far, after each section:
those that need no other method than the network ``line_ratios`` (and, for Time, the weights of
``line_ratio_ann``).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

SECTIONS = ("Calibration", "Dust", "Layers and widths", "Cross-validation", "Time")


def main() -> None:
    """Make the sections that were named."""
    from nebulines.reports.line_ratios import RatioPlan
    from nebulines.reports.page import prepare_folder
    from nebulines.runtime import configure

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sections", nargs="+", choices=SECTIONS)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    configure()
    plan = RatioPlan.of(options.folder, seed=options.seed, quick=options.quick, ann=options.weights)
    prepare_folder(plan.folder)
    write(plan, options.sections)


def write(plan: Any, names: list[str]) -> None:
    """Make sections one after another, and write all that is there after each."""
    from nebulines.evaluation.line_ratio_methods import Ours
    from nebulines.reports.line_ratios import _sections
    from nebulines.reports.line_ratios_sections import Workshop, _loaded
    from nebulines.reports.page import write_numbers, write_page
    from nebulines.reports.section import made

    dense = _loaded(plan.ann)[0] if "Time" in names else None
    nothing: Any = None  # held-out objects, of which these sections draw their own
    work = Workshop(plan, nothing, dense, Ours(), {}, "")
    command = f"python -m benchmarks.line_ratio_sections FOLDER {' '.join(map(repr, names))}"
    command += "" if plan.ann is None else f" --weights {plan.ann.name}"
    command += f" --seed {plan.seed}"
    parts: list[str] = []
    numbers: dict[str, Any] = {}
    for name in names:
        section = made(name, _sections()[name], work)
        parts += section.parts
        numbers[name] = section.numbers
        write_page(plan.folder / "sections.md", "Line ratios: single sections", command, parts)
        write_numbers(plan.folder / "sections.json", command, numbers)


if __name__ == "__main__":
    main()

"""Single sections of ``nebulines reproduce line-ratios``, without the rest of it.

    python -m benchmarks.line_ratio_sections FOLDER Calibration Dust [--weights ANN] [--seed 1]

writes ``sections.md`` and ``sections.json``, which hold what was made so far, after each section:
those that need no other method than the network ``line_ratios`` (and, for Time, the weights of
``line_ratio_ann``).

    python -m benchmarks.line_ratio_sections FOLDER --splice benchmarks/results/line_ratios

puts what lies in FOLDER in the place of the sections of a report, says there with which command
they were made, and works out the table of targets anew.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

SECTIONS = ("Calibration", "Dust", "Layers and widths", "Cross-validation", "Time")


def main() -> None:
    """Make the sections that were named."""
    from nebulines.reports.line_ratios.workshop import RatioPlan
    from nebulines.reports.page import prepare_folder
    from nebulines.runtime import configure

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sections", nargs="*")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--splice", type=Path, metavar="REPORT")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(unknown)}: choose of {', '.join(SECTIONS)}")
    if options.splice is not None:
        splice(options.folder, options.splice)
        return
    configure()
    plan = RatioPlan.of(options.folder, seed=options.seed, quick=options.quick, ann=options.weights)
    prepare_folder(plan.folder)
    write(plan, options.sections)


def write(plan: Any, names: list[str]) -> None:
    """Make sections one after another, and write all that is there after each."""
    from nebulines.evaluation.line_ratio_methods import Ours
    from nebulines.reports.line_ratios.report import _sections
    from nebulines.reports.line_ratios.workshop import Workshop, loaded
    from nebulines.reports.page import write_numbers, write_page
    from nebulines.reports.section import made

    dense = loaded(plan.ann)[0] if "Time" in names else None
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


def splice(folder: Path, report: Path) -> None:
    """Put sections into a report, and the table of targets after them."""
    from nebulines.io.atomic import atomic_path
    from nebulines.reports.line_ratios.report import TARGETS
    from nebulines.reports.line_ratios.targets import targets

    page, numbers = report / "README.md", report / "line_ratios.json"
    found = json.loads((folder / "sections.json").read_text(encoding="utf-8"))
    known = json.loads(numbers.read_text(encoding="utf-8"))
    head, new = _sections_of((folder / "sections.md").read_text(encoding="utf-8"))
    first, old = _sections_of(page.read_text(encoding="utf-8"))
    made = head.strip().split("\n\n")[-1]
    for title, text in new.items():
        known[title] = found[title]
        old[title] = f"\n\nMade anew: {made}\n\n{text.strip()}\n\n"
    others = {k: v for k, v in known.items() if k not in ("command", TARGETS)}
    reached = targets(others)
    known[TARGETS] = reached.numbers
    old[TARGETS] = "\n\n" + "\n\n".join(str(part) for part in reached.parts) + "\n\n"
    whole = first + "".join(f"## {title}{text}" for title, text in old.items())
    with atomic_path(page) as partial:
        partial.write_text(whole.rstrip() + "\n", encoding="utf-8")
    with atomic_path(numbers) as partial:
        partial.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def _sections_of(text: str) -> tuple[str, dict[str, str]]:
    """What stands above the first section, and the sections' texts by title."""
    head, *rest = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    return head, dict(zip(rest[::2], rest[1::2], strict=True))


if __name__ == "__main__":
    main()

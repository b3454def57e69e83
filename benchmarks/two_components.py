"""Two velocity components in one spectrum: what can be told apart, and what the answers are worth.

    python -m benchmarks.two_components benchmarks/results/kinematics [--n 1000] [--seed 1]

The section *Two components* of ``nebulines reproduce kinematics`` by itself.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

METHODS = ("fit", "both", "kinematics")


def main() -> None:
    """Measure, and write two_components.json and two_components.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    from nebulines.runtime import configure

    configure()
    from nebulines.reports.kinematics.plan import Plan
    from nebulines.reports.kinematics.sections import blends
    from nebulines.reports.page import write_numbers, write_page

    plan = Plan.of(options.folder, seed=options.seed, methods=METHODS)
    section = blends(replace(plan, n_case=options.n))
    command = (
        f"python -m benchmarks.two_components benchmarks/results/kinematics --n {options.n} "
        f"--seed {options.seed}"
    )
    options.folder.mkdir(parents=True, exist_ok=True)
    title = "Two velocity components in one spectrum"
    write_page(options.folder / "two_components.md", title, command, section.parts)
    write_numbers(options.folder / "two_components.json", command, section.numbers)


if __name__ == "__main__":
    main()

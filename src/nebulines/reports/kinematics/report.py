"""The tables and figures of Rhea et al. 2020 (ApJ 901, 152), ours beside theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nebulines.evaluation.published import published
from nebulines.reports.kinematics import sections as judged
from nebulines.reports.kinematics.bounds import bounds
from nebulines.reports.kinematics.cross_validation import cross_validation
from nebulines.reports.kinematics.mock_field import mock_field
from nebulines.reports.kinematics.plan import Plan
from nebulines.reports.page import prepare_folder, write_numbers, write_page
from nebulines.reports.section import Section, made

_TARGETS = "What was asked for, and what was reached"


def reproduce_kinematics(plan: Plan, *, command: str, progress: bool = False) -> list[Path]:
    """Make every table and figure, and one page that shows them.

    Args:
        plan: what to make.
        command: that was given, for the page.
        progress: show a bar on stderr.

    Returns:
        The files, ``kinematics.md`` first. A section that cannot be made says why.

    Raises:
        UsageError: a folder that cannot be made.
    """
    from tqdm import tqdm

    from nebulines.reports.kinematics.targets import targets

    folder = prepare_folder(plan.folder)
    sections = []
    makers = _sections()
    for title, make in tqdm(makers.items(), desc="reproduce", disable=not progress):
        sections.append(made(title, make, plan))
    numbers = {title: section.numbers for title, section in zip(makers, sections, strict=True)}
    reached = made(_TARGETS, targets, numbers)
    numbers[_TARGETS] = reached.numbers
    parts = [_introduction(plan), *reached.parts]
    parts += [part for section in sections for part in section.parts]
    page = write_page(folder / "kinematics.md", "Kinematics: the paper and here", command, parts)
    record = write_numbers(folder / "kinematics.json", command, numbers)
    return [page, record, *(path for section in sections for path in section.paths)]


def _sections() -> dict[str, Callable[[Plan], Section]]:

    return {
        "Resolutions": judged.resolutions,
        "Nominal resolution": judged.nominal,
        "Bright lines": judged.bright,
        "Out of range": judged.out_of_range,
        "Two components": judged.blends,
        "Cross-validation": cross_validation,
        "What can be reached": bounds,
        "Time": judged.timing,
        "A field": mock_field,
    }


def _introduction(plan: Plan) -> str:
    paper = published("rhea2020")["citation"]
    text = (
        f"Paper: {paper}. Its numbers are those of its text. Ours are measured on held-out "
        f"synthetic spectra, {plan.n:,} at each resolution, from a stream of seeds that no "
        "training draws from."
    )
    if plan.quick:
        text += " This is a quick run: smaller sets, wider uncertainties."
    for name, reason in plan.missing.items():
        text += f" The method `{name}` is missing: {reason}."
    return text

"""The tables and figures of Rhea et al. 2021 (ApJ 910, 129), ours beside theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nebulines.evaluation.published import published
from nebulines.reports.line_ratios import checks
from nebulines.reports.line_ratios import sections as judged
from nebulines.reports.line_ratios.layers import layers
from nebulines.reports.line_ratios.noise import noise_classifier
from nebulines.reports.line_ratios.table import table_two
from nebulines.reports.line_ratios.time import timing
from nebulines.reports.line_ratios.workshop import RatioPlan, Workshop
from nebulines.reports.page import prepare_folder, write_numbers, write_page
from nebulines.reports.section import Section, made

TARGETS = "What was asked for, and what was reached"


def reproduce_line_ratios(plan: RatioPlan, *, command: str, progress: bool = False) -> list[Path]:
    """Make every table and figure, and one page that shows them.

    Args:
        plan: what to make.
        command: that was given, for the page.
        progress: show a bar on stderr.

    Returns:
        The files, ``line_ratios.md`` first. A section that cannot be made says why.

    Raises:
        UsageError: a folder that cannot be made, weights of another network.
    """
    from tqdm import tqdm

    prepare_folder(plan.folder)
    work = Workshop.open(plan)
    found: dict[str, Section] = {}
    written: list[Path] = []
    for title, make in tqdm(_sections().items(), desc="reproduce", disable=not progress):
        found[title] = made(title, make, work)
        written = _write(plan, command, work.note, found)
    return [*written, *(path for section in found.values() for path in section.paths)]


def _write(plan: RatioPlan, command: str, note: str, found: dict[str, Section]) -> list[Path]:
    """The page and its numbers, with the sections made so far: an interrupted run leaves them."""
    from nebulines.reports.line_ratios.targets import targets

    numbers = {title: section.numbers for title, section in found.items()}
    reached = made(TARGETS, targets, numbers)
    numbers[TARGETS] = reached.numbers
    parts = [_introduction(plan), note, *reached.parts]
    parts += [part for section in found.values() for part in section.parts]
    title = "Line ratios: the paper and here"
    page = write_page(plan.folder / "line_ratios.md", title, command, parts)
    return [page, write_numbers(plan.folder / "line_ratios.json", command, numbers)]


def _sections() -> dict[str, Callable[[Any], Section]]:

    return {
        "Table 2": table_two,
        "Calibration": judged.calibration,
        "Errors against the S/N": judged.against_snr,
        "The fixed ratio": checks.doublet,
        "Activation maps": judged.activation,
        "Dust": checks.dust,
        "Noise classifier": noise_classifier,
        "Layers and widths": layers,
        "Cross-validation": checks.cross_validation,
        "Time": timing,
    }


def _introduction(plan: RatioPlan) -> str:
    paper = published("rhea2021")["citation"]
    return (
        f"Paper: {paper}. {plan.n:,} held-out objects (seed {plan.seed} of a stream that no "
        "training draws from) by the paper's recipe: 3MdB BOND H II regions at 100 cm-3 whose "
        "lines all have 12 % of Hα or more as seen through the dust, which is drawn anew with "
        "every source from a Balmer decrement of 2 to 6 (CCM89) until one passes, as the paper's "
        "published script does; velocity within 200 km/s, broadening 10 to 50 km/s; R 800-1000 in "
        "SN1 and SN2, 4800-5000 in SN3; S/N of the peak of Hα 5 to 30, and in the other bands that "
        "of an unresolved line of the same flux. [S II] 6731/6716 fills the paper's range .73 to "
        ".79 evenly, in the order of Hα/Hβ before dust (both follow the temperature)."
    )

"""The tables and figures of Rhea et al. 2020 (ApJ 901, 152), ours beside theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nebulines.errors import UsageError
from nebulines.evaluation.held_out import sn3
from nebulines.evaluation.methods import Method, get_method, method_names, prior_options
from nebulines.evaluation.published import published
from nebulines.reports.page import prepare_folder, write_numbers, write_page
from nebulines.reports.section import Section, made
from nebulines.synthetic.truth_maps import read_truth_maps


@dataclass(frozen=True)
class Plan:
    """What a reproduction is made of.

    Attributes:
        folder: for the report.
        seed: of the held-out stream.
        n: held-out spectra of a resolution.
        n_case: spectra of a case out of range.
        n_timing: spectra that the rate is measured on.
        n_exact: spectra whose exact posterior is computed.
        methods: names and the methods that can be had, networks told the prior of the sets; a
            method may serve some resolutions only.
        wide: the same with the ranges that a user gets who gives none, for fields.
        missing: names and why the rest cannot.
        truth_maps: folder of the maps that a mock cube is made from, or None.
        quick: whether numbers were cut down.

    Example:
        >>> Plan.of(Path("out"), quick=True, methods=["fit"]).n
        2000
    """

    folder: Path
    seed: int
    n: int
    n_case: int
    n_timing: int
    methods: dict[str, Method]
    missing: dict[str, str]
    truth_maps: Path | None = None
    quick: bool = False
    wide: dict[str, Method] = field(default_factory=dict)
    n_exact: int = 50

    @classmethod
    def of(
        cls,
        folder: Path,
        *,
        seed: int = 1,
        quick: bool = False,
        methods: Sequence[str] | None = None,
        truth_maps: Path | None = None,
    ) -> Plan:
        """The plan with its usual numbers, or a tenth of them; methods that cannot be had are
        noted, those asked for by name must exist, as must the maps."""
        if truth_maps is not None:
            read_truth_maps(truth_maps)
        found: dict[str, Method] = {}
        wide: dict[str, Method] = {}
        missing: dict[str, str] = {}
        for name in methods or method_names():
            try:
                found[name] = get_method(name, **prior_options(name, sn3()))
                wide[name] = get_method(name)
            except UsageError as error:
                if methods:
                    raise
                missing[name] = str(error)
        n, n_case, n_timing = (2000, 200, 8192) if quick else (30_000, 1000, 62_500)
        n_exact = 50 if quick else 200
        return cls(
            folder, seed, n, n_case, n_timing, found, missing, truth_maps, quick, wide, n_exact
        )


_TARGETS = "What was asked for, and what was reached"
SectionMaker = Callable[[Plan], Section]


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

    from nebulines.reports.kinematics_targets import targets

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


def _sections() -> dict[str, SectionMaker]:
    from nebulines.reports import kinematics_sections as made
    from nebulines.reports.cross_validation import cross_validation
    from nebulines.reports.kinematics_bounds import bounds
    from nebulines.reports.mock_field import mock_field

    return {
        "Resolutions": made.resolutions,
        "Nominal resolution": made.nominal,
        "Bright lines": made.bright,
        "Out of range": made.out_of_range,
        "Two components": made.blends,
        "Cross-validation": cross_validation,
        "What can be reached": bounds,
        "Time": made.timing,
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

"""What the report on kinematics is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nebulines.errors import UsageError
from nebulines.evaluation.held_out import sn3
from nebulines.evaluation.methods import Method, get_method, method_names, prior_options
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

"""Lines of a result, and what the steps of its interpretation share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.fitting.result import Result
from nebulines.nebular.correlation import finite_column, line_correlations
from nebulines.nebular.extinction import balmer_ebv, deredden
from nebulines.nebular.flags import NebularFlag
from nebulines.nebular.options import Options
from nebulines.nebular.propagation import Measured, propagate
from nebulines.nebular.ratios import SUMS, has_line, line_flux

BALMER = ("HALPHA6563", "HBETA4861")
"""Lines that dust is measured from."""

# one line of a doublet may stand for the other
_PARTNERS = {part: parts for parts in SUMS.values() for part in parts}


class Lines(NamedTuple):
    """Fluxes of the lines of a result without the Milky Way's dust, and errors, {line: (n,)}, and
    what is known of the correlations of the errors."""

    flux: dict[str, np.ndarray]
    error: dict[str, np.ndarray]
    correlations: dict[tuple[str, str], np.ndarray]

    @classmethod
    def of(cls, result: Result, options: Options, rows: slice) -> Lines:
        """Of some rows of one component of a result."""
        infix = "" if options.component == 1 else f"_{options.component}"
        names = [n for n in result.lines if f"{n}{infix}_flux_err" in result]
        if not names and infix:
            raise UsageError(f"the result has no component {options.component}")
        if BALMER[0] not in names:
            raise InputError(
                "a result with HALPHA6563_flux and HALPHA6563_flux_err is needed; this one has "
                f"fluxes of {', '.join(result.lines) or 'no line'}, and errors of "
                f"{', '.join(names) or 'none'}"
            )
        flux = {n: finite_column(result, f"{n}{infix}_flux", rows) for n in names}
        error = {n: _error(result, f"{n}{infix}_flux_err", rows) for n in names}
        if options.foreground:
            scale = {name: np.ones(1) for name in names}
            scale = deredden(scale, options.foreground, redshift=_redshift(result, rows))
            flux = {n: flux[n] * scale[n] for n in names}
            error = {n: error[n] * scale[n] for n in names}
        return cls(flux, error, {} if infix else line_correlations(result, rows))

    def some(self, names: Iterable[str]) -> Lines:
        """Only the lines that some lines or sums are made of."""
        wanted = {part for name in names for part in (name, *SUMS.get(name, ()))}
        wanted |= {partner for name in wanted for partner in _PARTNERS.get(name, ())}
        kept = [name for name in self.flux if name in wanted]
        return Lines(
            {n: self.flux[n] for n in kept}, {n: self.error[n] for n in kept}, self.correlations
        )

    def propagated(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Measured:
        """A function of these fluxes with its error, see `propagate`."""
        return propagate(
            function, self.flux, self.error, *arguments, correlations=self.correlations, **options
        )


class Work(NamedTuple):
    """What the steps share: lines, options, flags (n,) to be filled."""

    lines: Lines
    options: Options
    flags: np.ndarray

    def flag(self, where: np.ndarray, bit: NebularFlag) -> None:
        """Set a bit."""
        self.flags[where] |= int(bit)

    def usable(self, names: Iterable[str], *, quiet: bool = False) -> np.ndarray:
        """Rows (n,) where all lines or sums are measured and detected; flags the others."""
        good = np.ones(len(self.flags), bool)
        for name in names:
            there, detected = self._state(name)
            if not quiet:
                self.flag(~there, NebularFlag.MISSING_LINE)
                self.flag(there & ~detected, NebularFlag.NOT_DETECTED)
            good &= there & detected
        return good

    def _state(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        lines = self.lines.some([name])
        if not has_line(lines.flux, name):
            return np.zeros(len(self.flags), bool), np.zeros(len(self.flags), bool)
        value, error = lines.propagated(line_flux, name)
        there = np.isfinite(value) & np.isfinite(error) & (error > 0)
        return there, there & (value > self.options.detection * error)

    def known_ebv(self) -> np.ndarray:
        """Rows (n,) where E(B-V) is known."""
        if self.options.ebv is not None:
            return np.ones(len(self.flags), bool)
        return self.usable(BALMER, quiet=True)

    def corrected(self, function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
        """The function of fluxes, applied after the correction for dust (where it is known)."""
        known, options = self.known_ebv(), self.options

        def chain(fluxes: dict[str, np.ndarray]) -> np.ndarray:
            ebv: Any = options.ebv
            if ebv is None:
                both = all(line in fluxes for line in BALMER)
                ebv = np.where(known, balmer_ebv(fluxes, dust=options.dust), 0.0) if both else 0.0
            return function(deredden(fluxes, ebv, dust=options.dust), *arguments)

        return chain


def _error(result: Result, name: str, rows: slice) -> np.ndarray:
    """Errors (n,) of some rows; one that is not positive is a catalogue's word for a line that was
    not measured, and is NaN."""
    error = finite_column(result, name, rows)
    return np.where(error > 0, error, np.nan)


def _redshift(result: Result, rows: slice) -> np.ndarray:
    """Redshift of each row, for the wavelengths at which the Milky Way's dust acts."""
    value: Any = result.meta.get("REDSHIFT", 0.0)
    if "redshift" in result:
        value = result["redshift"][rows]
    if isinstance(value, str):
        raise InputError(f"the redshift of the rows is needed for the foreground; got {value!r}")
    return np.nan_to_num(np.atleast_1d(np.asarray(value, float)))

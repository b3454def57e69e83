"""What a fit of a cube found, in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.spectra import Flag

if TYPE_CHECKING:
    from nebulines.fitting.result import Result

HALPHA = "HALPHA6563"
RATIO = "ratio_NII6583_HALPHA6563"
DETECTED = 3.0
CLEAR = 10.0


@dataclass(frozen=True)
class Spread:
    """Median and percentiles of a quantity over spaxels.

    Example:
        >>> Spread.of(np.array([1.0, 2.0, 3.0, np.nan])).median
        2.0
    """

    p5: float
    p16: float
    median: float
    p84: float
    p95: float

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        """Of the finite values; NaN without any."""
        values = values[np.isfinite(values)]
        if not values.size:
            return cls(*[float("nan")] * 5)
        return cls(*(float(x) for x in np.percentile(values, (5, 16, 50, 84, 95))))


@dataclass(frozen=True)
class Summary:
    """Key numbers of a cube's result.

    Attributes:
        spaxels: all of them.
        fitted: with data.
        detected: H-alpha flux above 3 errors.
        clear: H-alpha flux above 10 errors; the numbers below are over these spaxels.
        velocity: [km/s], relative to ``redshift``.
        broadening: [km/s], intrinsic 1-sigma.
        ratio: [N II] 6583 / H-alpha.
        chi2: reduced chi2, over all fitted spaxels.
        flags: name of each bit that occurs -> spaxels that have it.
        good: spaxels without any flag.
        redshift: that velocities are relative to.
        lines: names of the lines fitted.
    """

    spaxels: int
    fitted: int
    detected: int
    clear: int
    velocity: Spread
    broadening: Spread
    ratio: Spread
    chi2: Spread
    flags: dict[str, int]
    good: int
    redshift: float
    lines: tuple[str, ...]

    @property
    def gas_redshift(self) -> float:
        """Redshift of the gas: (1 + z)(1 + v/c) - 1 at the median velocity."""
        return (1.0 + self.redshift) * (1.0 + self.velocity.median / SPEED_OF_LIGHT_KMS) - 1.0


def summarise(result: Result, *, redshift: float) -> Summary:
    """Key numbers of a cube's result in which H-alpha and [N II] were fitted.

    Args:
        result: of a cube.
        redshift: that its velocities are relative to.
    """
    flags = result["flags"].astype(int)
    fitted = (flags & int(Flag.NO_DATA)) == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = result[f"{HALPHA}_flux"] / result[f"{HALPHA}_flux_err"]
    clear = fitted & (snr > CLEAR)
    return Summary(
        spaxels=len(result),
        fitted=int(fitted.sum()),
        detected=int((fitted & (snr > DETECTED)).sum()),
        clear=int(clear.sum()),
        velocity=Spread.of(result["velocity"][clear]),
        broadening=Spread.of(result["broadening"][clear]),
        ratio=Spread.of(_ratio(result)[clear]),
        chi2=Spread.of(result["chi2"][fitted]),
        flags=count_flags(flags),
        good=int((flags == 0).sum()),
        redshift=redshift,
        lines=tuple(result.lines),
    )


def _ratio(result: Result) -> np.ndarray:
    if RATIO in result:
        return result[RATIO]
    with np.errstate(invalid="ignore", divide="ignore"):
        return result["NII6583_flux"] / result[f"{HALPHA}_flux"]


def count_flags(flags: np.ndarray) -> dict[str, int]:
    """How many rows have each bit; bits that never occur are left out.

    Example:
        >>> count_flags(np.array([0, 2, 6]))
        {'LOW_SNR': 2, 'AT_BOUND': 1}
    """
    counts = {str(bit.name): int(((flags & int(bit)) != 0).sum()) for bit in Flag}
    return {name: count for name, count in counts.items() if count}


def sentences(summary: Summary, *, seconds: float) -> list[str]:
    """The summary in four lines of plain text."""
    v, s, r = summary.velocity, summary.broadening, summary.ratio
    flags = ", ".join(f"{name} {count}" for name, count in summary.flags.items()) or "none"
    return [
        f"{summary.fitted} of {summary.spaxels} spaxels fitted in {seconds:.0f} s, "
        f"{len(summary.lines)} lines each; Ha detected in {summary.detected}, "
        f"above 10 sigma in {summary.clear}.",
        f"Gas velocity {v.median:.0f} km/s (5-95 %: {v.p5:.0f} to {v.p95:.0f}) relative to "
        f"z = {summary.redshift}, that is z = {summary.gas_redshift:.4f}; "
        f"dispersion {s.median:.0f} km/s ({s.p16:.0f} to {s.p84:.0f}).",
        f"[N II]6583/Ha {r.median:.2f} ({r.p16:.2f} to {r.p84:.2f}); "
        f"reduced chi2 {summary.chi2.median:.2f} "
        f"({summary.chi2.p16:.2f} to {summary.chi2.p84:.2f}).",
        f"Flags: {summary.good} spaxels with none; {flags}.",
    ]

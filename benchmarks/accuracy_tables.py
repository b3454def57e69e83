"""The accuracy numbers as Markdown, each beside its target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.mocks import FIVE_LINES, SOURCES
from benchmarks.reporting import judged, table

COVERAGE = (0.66, 0.71)
VELOCITY_BIAS_KMS = 0.1
FLUX_SCATTER = 1.05
FLUX_BIAS = 0.005

Numbers = dict[str, Any]

LEGEND = """
Each bin holds spectra with white noise and a peak of H-alpha over noise drawn uniformly from the
S/N given; the fit searches +-1000 km/s and is told nothing but the redshift. **RMS/CRLB** is the
root mean square of estimate - truth over that of the Cramer-Rao bound of the very same spectra
(float64, everything free that the fit leaves free); 1 is the best an unbiased method can do.
**pulls** is the RMS of (estimate - truth)/bound, **NMAD** the robust scatter of the same. Rows
whose flags tell a user not to trust the velocity (column *set aside*: no detection, ambiguous
velocity, not converged, at a bound, poor fit) are left out of the statistics; everything else, an
unflagged outlier included, is in. **near truth** is maximum likelihood with velocities within
150 km/s of the true one: what a target missed there misses is the bound of the method (ML) itself.
Outliers are velocities off by more than 10 sigma (NaN included). `pass~`: the target is missed by
less than two standard errors of this sample. `FAIL, as ML`: so does maximum likelihood near the
truth.
"""


def targets(snr: list[float]) -> tuple[float, float] | None:
    """Largest RMS/CRLB of velocity and of broadening asked for in a bin, where one is."""
    if snr[0] < 10.0:
        return 1.09, 1.15
    return (1.03, 1.05) if snr[1] <= 30.0 else None


def _name(snr: list[float]) -> str:
    low, high = snr
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


def _ratio(numbers: Numbers, near: Numbers, target: float | None) -> str:
    value, limit = numbers["rms_over_bound"], near["rms_over_bound"]
    if target is None:
        return f"{value:.3f}"
    verdict = judged(value, most=target, error=value / (2.0 * numbers["n"]) ** 0.5)
    if verdict == "FAIL" and limit > target:
        verdict = "FAIL, as ML"
    return f"{value:.3f} ({target:g}: {verdict})"


def _share(numbers: Numbers) -> str:
    value = numbers["coverage"]
    low, high = COVERAGE
    return f"{value:.3f} {judged(value, least=low, most=high, error=numbers['coverage_error'])}"


def _kinematics(bins: list[Numbers], quantity: str, which: int) -> str:
    rows = []
    for numbers in bins:
        target = targets(numbers["snr"])
        ours, near = numbers["fit"][quantity], numbers["near_truth"][quantity]
        bias = f"{ours['bias']:+.3f} +- {ours['bias_error']:.3f}"
        if quantity == "velocity":
            verdict = judged(abs(ours["bias"]), most=VELOCITY_BIAS_KMS, error=ours["bias_error"])
            bias += f" {verdict}"
        rows.append(
            [
                _name(numbers["snr"]),
                f"{ours['bound']:.3g}",
                _ratio(ours, near, None if target is None else target[which]),
                f"{near['rms_over_bound']:.3f}",
                f"{ours['pull_rms']:.3f}",
                f"{ours['nmad_over_bound']:.3f}",
                bias,
                f"{near['bias']:+.3f}",
                _share(ours),
                f"{ours['coverage_95']:.3f}",
                f"{numbers['estimated_noise'][quantity]['coverage']:.3f}",
            ]
        )
    head = [
        "S/N", "CRLB km/s", "RMS/CRLB (target)", "near truth", "pulls", "NMAD", "median bias km/s",
        "near truth", "1 sigma covers", "95 % covers", "1 sigma, noise estimated",
    ]  # fmt: skip
    return table(head, rows)


def _outliers(bins: list[Numbers]) -> str:
    rows = []
    for numbers in bins:
        fit = numbers["fit"]
        flags = ", ".join(f"{name} {count}" for name, count in fit["flags"].items())
        where = ", ".join(f"{v:+.0f}" for v in fit["outlier_velocities"][:6])
        rows.append(
            [
                _name(numbers["snr"]),
                fit["n"],
                fit["distrusted"],
                fit["outliers"],
                fit["outliers_flagged"],
                where or "-",
                f"{fit['velocity']['rms_all_over_bound']:.2f}",
                flags or "-",
            ]
        )
    head = [
        "S/N", "spectra", "set aside", "outliers", "of these set aside", "off by km/s",
        "RMS/CRLB of all rows", "flags",
    ]  # fmt: skip
    return table(head, rows)


def _fluxes(bins: list[Numbers]) -> str:
    def cell(numbers: Numbers, name: str) -> str:
        ours, near = numbers["fit"]["fluxes"][name], numbers["near_truth"]["fluxes"][name]
        value = ours["rms_over_bound"]
        scatter = judged(value, most=FLUX_SCATTER, error=value / (2.0 * ours["n"]) ** 0.5)
        bias, error = 100 * ours["relative_bias"], 100 * ours["relative_bias_error"]
        return (
            f"{value:.3f} {scatter}; {bias:+.2f} +- {error:.2f} % {_flux_bias(ours, near)}; "
            f"{_share(ours)}"
        )

    return _by_line(bins, FIVE_LINES, cell)


def _flux_bias(ours: Numbers, near: Numbers) -> str:
    value, error = abs(ours["relative_bias"]), ours["relative_bias_error"]
    verdict = judged(value, most=FLUX_BIAS, error=error)
    limit = abs(near["relative_bias"])
    return "FAIL, as ML" if verdict == "FAIL" and limit > FLUX_BIAS else verdict


def _ratios(bins: list[Numbers]) -> str:
    def cell(numbers: Numbers, name: str) -> str:
        ours = numbers["fit"]["ratios"].get(name)
        if ours is None:
            return "-"
        return (
            f"NMAD/CRLB {ours['nmad_over_bound']:.3f}; median bias {ours['bias']:+.4f}; "
            f"{_share(ours)}"
        )

    return _by_line(bins, tuple(bins[-1]["fit"]["ratios"]), cell)


def _by_line(
    bins: list[Numbers], names: tuple[str, ...], cell: Callable[[Numbers, str], str]
) -> str:
    rows = [[_name(b["snr"]), *(cell(b, name) for name in names)] for b in bins]
    return table(["S/N", *names], rows)


def _scipy(bins: list[Numbers]) -> str:
    rows = []
    for numbers in bins:
        found = numbers["scipy"]
        median, most = found["median_difference"], found["p99_difference"]
        rows.append(
            [
                _name(numbers["snr"]),
                found["n"],
                *(
                    f"{found[f'scipy_{q}']['rms_over_bound']:.3f} / "
                    f"{found[f'our_{q}']['rms_over_bound']:.3f}"
                    for q in ("velocity", "broadening")
                ),
                *(f"{median[q]:.1e} / {most[q]:.1e}" for q in ("velocity", "broadening", "fluxes")),
            ]
        )
    head = [
        "S/N", "spectra", "RMS/CRLB velocity, SciPy / ours", "broadening, SciPy / ours",
        "apart in velocity, median / 99 % [CRLB]", "in broadening", "in fluxes",
    ]  # fmt: skip
    return table(head, rows)


def render(results: dict[str, list[Numbers]]) -> str:
    """All tables of all sources."""
    parts = [LEGEND.strip()]
    for name, bins in results.items():
        source = SOURCES[name]
        n = bins[0]["fit"]["n"]
        parts += [
            f"## {source.title}",
            f"{n} spectra in a bin: an RMS/CRLB is known to +-{1 / (2 * n) ** 0.5:.3f}, a coverage "
            f"to +-{(0.68 * 0.32 / n) ** 0.5:.3f}.",
            "### Velocity",
            _kinematics(bins, "velocity", 0),
            f"### Broadening (true one above {source.resolved:g} km/s)",
            _kinematics(bins, "broadening", 1),
            "### Outliers and flags",
            _outliers(bins),
            "### Fluxes",
            "RMS/CRLB (target 1.05); mean bias (target 0.5 %); share covered by 1 sigma.",
            _fluxes(bins),
            "### Ratios",
            "Where the true fluxes of both lines are five times their bound or more.",
            _ratios(bins),
        ]
        if all(numbers["scipy"] for numbers in bins):
            parts += [
                "### Beside SciPy least squares started at the truth",
                "Float64, analytic Jacobian, the channels and the continuum of our fit.",
                _scipy(bins),
            ]
    return "\n\n".join(parts)

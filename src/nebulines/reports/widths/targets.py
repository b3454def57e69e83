"""The first section of the report on lines from the continuum: asked for, and reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nebulines.reports.section import Section
from nebulines.reports.target_rows import Row, target_section, wanted

_OURS = "equivalent_width, 11 colours"
MIXTURE = "medians of the mixture, 11 colours"
"""What the report calls the slower medians."""
_CEILING = "true widths (noise ceiling)"


def _row(what: str, limit: str, reached: str, passed: bool, beside: str | None = None) -> Row:
    """A row whose sampling error is not known."""
    return Row(what, limit, reached, None, passed, beside)


def targets(record: dict[str, Any]) -> Section:
    """What was asked for beside what a reproduction found.

    Args:
        record: ``scores``, ``ks``, ``bpt``, ``speed``, ``published`` of the report; what is
            missing is left out.
    """
    makers = (_rank_rows, _gain_rows, _spread_rows, _published_rows, _speed_rows)
    rows = [row for make in makers for row in make(record)]
    text = (
        "**Mixture**: the medians of the network's own distributions, of which the stated ones are "
        "a fast copy. **Plain**: a larger network that learned nothing but medians from 40 000 "
        "galaxies ([learning curves](bound.md), `python -m benchmarks.width_bound`). "
        "**Posterior**: medians of the exact posterior that the population, its noise and its "
        "errors of calibration give the widths, without any network; **any**: what no function of "
        "the colours passes; **windows**: for NMAD alone, the middles of windows that hold most "
        "of the posterior, judged by other draws than chose them, and by the same, which nothing "
        f"passes ([exact posterior](posterior.md), on {_limits()['galaxies']:,} "
        "galaxies with `python -m benchmarks.width_posterior`; here the network's score and how "
        "far it is from these there). **Ceiling**: what the true widths score against their noisy "
        "measurements. "
        "Rates are those of this run, other work of the machine included; the Jacobian of DSPS and "
        "lines, real galaxies and the page of the explorer have reports of their own "
        "([DSPS](../dsps_lines.md), [real galaxies](../real_continua.md), "
        "[explorer](../explorer/explorer.md))."
    )
    return target_section(text, rows)


def _limits() -> dict[str, Any]:
    """Scores of the exact posterior, and those that no function of the colours passes."""
    return wanted("width_limits")


def _more_spearman(line: str) -> tuple[float, float]:
    """How far the posterior, and any function of the colours, are above the network."""
    scores = _limits()["spearman"]
    exact, most, net = (scores[k][line] for k in ("posterior", "any function", "network"))
    return exact - net, most - net


def _more_gain(line: str, near: str) -> tuple[float, ...]:
    """How much more the posterior and its windows lie below neighbours than the network does."""
    scores = _limits()["nmad"]
    net, least = scores["network"][line], scores[near][line]
    kinds = ("posterior", "any, held out", "any function")
    return tuple((net - scores[kind][line]) / least for kind in kinds)


def _verdict(limit: float, most: float) -> str:
    """What a bound says of a limit."""
    return "" if most >= limit else " (**less than asked**)"


def _rank_rows(record: dict[str, Any]) -> Iterator[Row]:
    scores = record["scores"]
    ours, mixture, top = (scores[name]["spearman"] for name in (_OURS, MIXTURE, _CEILING))
    plain = wanted("width_targets")["plain"]["spearman"]
    for line, limit in wanted("width_targets")["spearman"].items():
        exact, most = (ours[line] + more for more in _more_spearman(line))
        beside = (f"mixture: {mixture[line]:.3f}; plain: {plain[line]:.3f}; "
                  f"posterior: {exact:.3f}{_verdict(limit, exact)}; "
                  f"any: {most:.3f}{_verdict(limit, most)}; "
                  f"ceiling: {top[line]:.3f}")  # fmt: skip
        yield _row(f"Spearman {line}", f"at least {limit:.3f}", f"{ours[line]:.3f}",
                   ours[line] >= limit, beside)  # fmt: skip


def _gain_rows(record: dict[str, Any]) -> Iterator[Row]:
    """By how much the NMAD of a line is below that of neighbours."""
    asked = wanted("width_targets")["nmad"]
    ours, mixture, top = (record["scores"][n]["nmad"] for n in (_OURS, MIXTURE, _CEILING))
    for name in asked["baselines"]:
        near, short = record["scores"][name]["nmad"], name.partition(",")[0]
        for line in asked["lines"]:
            gain = 1.0 - ours[line] / near[line]
            exact, window, most = (gain + more for more in _more_gain(line, short))
            yield _row(f"NMAD below {short}, {line}", f"at least {asked['gain']:.0%}",
                       f"{gain:.1%}", gain >= asked["gain"],
                       f"mixture: {1.0 - mixture[line] / near[line]:.1%}; "
                       f"posterior: {exact:.1%}{_verdict(asked['gain'], exact)}; "
                       f"windows: {window:.1%} to {most:.1%}{_verdict(asked['gain'], most)}; "
                       f"ceiling: {1.0 - top[line] / near[line]:.1%}")  # fmt: skip


def _spread_rows(record: dict[str, Any]) -> Iterator[Row]:
    asked = wanted("width_targets")["spread"]
    inside = list(record["scores"][_OURS]["coverage"].values())
    low, high = asked["coverage"]
    yield _row("coverage of 68.27 % intervals, every line", f"{low:.2f}-{high:.2f}",
               f"{min(inside):.3f}-{max(inside):.3f}",
               low <= min(inside) and max(inside) <= high)  # fmt: skip
    line, most = max(record["ks"].items(), key=lambda item: item[1])
    yield _row(f"KS of predicted + noise, worst line ({line})", f"under {asked['ks']:g}",
               f"{most:.3f}", most < asked["ks"])  # fmt: skip
    seen, made = (np.array(record["bpt"][key])
                  for key in ("observed", "predicted + scatter + noise"))  # fmt: skip
    worst = float(np.abs(seen - made).max())
    yield _row("BPT diagram: share of a class, largest difference", f"under {asked['bpt']:g}",
               f"{worst:.3f}", worst < asked["bpt"])  # fmt: skip


def _published_rows(record: dict[str, Any]) -> Iterator[Row]:
    if "published" not in record:
        return
    limit, found = wanted("width_targets")["published"]["agreement"], record["published"]["double"]
    yield _row("published weights: asinh EW against plain NumPy", f"at most {limit:g}",
               f"{found:.1e}", found <= limit,
               f"single precision: {record['published']['single']:.1e}")  # fmt: skip


def _speed_rows(record: dict[str, Any]) -> Iterator[Row]:
    if "equivalent_width" not in record.get("speed", {}):
        return
    asked, ours = wanted("width_targets")["speed"], record["speed"]["equivalent_width"]
    one = next(rate for rate in ours if rate["what"] == "one galaxy a call")
    many = next(r for r in ours if "blocks" in r["what"] and r["what"].endswith("medians"))
    limit, best = asked["galaxies_per_second"], many["per_second"]
    yield _row("ten lines, galaxies a second, blocks", f"at least {limit:,}", f"{best:,.0f}",
               best >= limit, f"median run: {many['median_per_second']:,.0f}; "
               f"{many['cpu_us']:.2f} us of processor a galaxy")  # fmt: skip
    time_us = 1e6 / one["per_second"]
    yield _row("one galaxy a call [us]", f"under {asked['call_us']}", f"{time_us:.0f}",
               time_us < asked["call_us"],
               f"median: {1e6 / one['median_per_second']:.0f}")  # fmt: skip
    for key, name, near in zip(("joint", "separate"), ("joint PCA + k-NN", "ten separate ones"),
                               record["speed"]["k-NN"], strict=True):  # fmt: skip
        ratio = best / near["per_second"]
        yield _row(f"times as fast as {name}", f"at least {asked[key]}", f"{ratio:,.0f}",
                   ratio >= asked[key],
                   f"in processor time: {near['cpu_us'] / many['cpu_us']:,.0f}")  # fmt: skip

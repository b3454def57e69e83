"""What the de-noising has to reach, what it reached, and what bounds it: the page's first table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from nebulines.evaluation.published import published
from nebulines.evaluation.tables import markdown

LEAST_COVER, MOST_COVER = 0.65, 0.71
MOST_OVER_BOUND, MOST_OF_PCA = 1.05, 1.0 / 3.0
FILLED = {"HALPHA6563": 0.31, "OIII5007": 0.38, "NII6583": 0.31}
LEAST_RECOVERED, MOST_ABUNDANCE_ERROR, SPREAD_WITHIN = 0.99, 0.085, 0.1
ORDERED = ("pca-4", "ae-4", "vae-4")
LEAST_RATE, MOST_MINUTES = 100_000.0, 30.0
ANY_NOISE = "means, errors, flags, any noise"
PRODUCTS = "products of weights and pairs of vectors"
"""Rates of the section on speed; the second is a part of the first."""
_NUMBERS = Mapping[str, Any]


class Target(NamedTuple):
    """One line of the table: what is asked, what was measured, what nothing can pass, and whether
    it is reached."""

    asked: str
    reached: str
    bound: str
    met: bool


def targets(numbers: _NUMBERS, card: _NUMBERS) -> list[Target]:
    """All targets for which a page has numbers.

    Args:
        numbers: of the sections of the page, by their titles without what stands in brackets.
        card: of the network.

    Example:
        >>> numbers = {"Reconstruction": {"over_bound": 1.02, "mse": {"ours": 1.0, "pca-4": 4.0}}}
        >>> [target.met for target in targets(numbers, {})]
        [True, True]
    """
    makers = {
        "Reconstruction": _reconstruction,
        "Line fluxes": _fluxes,
        "Coverage": _coverage,
        "Mass and metallicity": _abundances,
        "Lines stronger than any in training": _extremes,
        "Speed": _speed,
    }
    short = {title.partition(" (")[0]: part for title, part in numbers.items()}
    rows = [row for title, make in makers.items() if short.get(title) for row in make(short[title])]
    return [row._replace(met=bool(row.met)) for row in (*rows, *_training(card))]


def target_table(rows: list[Target]) -> str:
    """The table in Markdown."""
    cells = [[row.asked, row.reached, row.bound, "yes" if row.met else "**no**"] for row in rows]
    return markdown(["asked", "reached", "bound", "met"], cells)


def _reconstruction(found: _NUMBERS) -> Iterator[Target]:
    ratio, loss = found["over_bound"], found["mse"]
    share = loss["ours"] / loss["pca-4"]
    bound = f"{loss['bound'] / loss['pca-4']:.3f}" if "bound" in loss else ""
    yield Target("MSE at .04 at most 1.05 of the Bayes bound", f"{ratio:.3f}", "1",
                 ratio <= MOST_OVER_BOUND)  # fmt: skip
    yield Target("MSE at .04 at most a third of PCA 4's", f"{share:.3f}", bound,
                 share <= MOST_OF_PCA)  # fmt: skip


def _fluxes(found: _NUMBERS) -> Iterator[Target]:
    mine, exact = found["ours, median of draws"], found["bound, mean of log flux"]
    for line, most in FILLED.items():
        value = mine[line]["filled"]
        yield Target(f"scatter in filled bins, {line}: {most:g} dex", f"{value:.3f}",
                     f"{exact[line]['filled']:.3f}", value <= most)  # fmt: skip
    least = min(row["recovered"] for row in mine.values())
    yield Target("99 % of lines recovered", f"{least:.1%}", "", least >= LEAST_RECOVERED)
    yield from _order(found)


def _order(found: _NUMBERS) -> Iterator[Target]:
    """Whether the paper's networks of four dimensions come in the order of its Table 6."""
    paper = published("scourfield2023")["scatter"]
    if not all(name in found for name in ORDERED):
        return
    for column, (key, what) in enumerate((("everywhere", "all points"), ("filled", "filled bins"))):
        theirs = sorted(ORDERED, key=lambda name: paper[name][column])
        value = {name: found[name]["HALPHA6563"][key] for name in ORDERED}
        reached = ", ".join(f"{name} {value[name]:.3f}" for name in theirs)
        limits = ", ".join(f"{paper[name][column]:g}" for name in theirs)
        yield Target(f"order of the paper's Table 6, H-alpha, {what} ({limits})", reached, "",
                     theirs == sorted(ORDERED, key=value.__getitem__))  # fmt: skip


def _coverage(found: _NUMBERS) -> Iterator[Target]:
    for which in ("coverage", "exact"):
        shares = [x for row in found.values() if which in row for x in row[which].values()]
        if not shares:
            continue
        outside = sum(not LEAST_COVER <= round(x, 3) <= MOST_COVER for x in shares)
        what = "68 % intervals cover 65 to 71 %, .005 to .08"
        what += "" if which == "coverage" else ": the exact posterior, where there is one"
        reached = f"{min(shares):.3f} to {max(shares):.3f}; {outside} of {len(shares)} outside"
        yield Target(what, reached, "", outside == 0)


def _abundances(found: _NUMBERS) -> Iterator[Target]:
    row = found["uniform-0.04"]
    error, spread = row["error"], row["sampled_over_true_spread"]
    yield Target("O3N2 error at .04 at most .085 dex", f"{error:.3f}", f"{row['bound']:.3f}",
                 error <= MOST_ABUNDANCE_ERROR)  # fmt: skip
    yield Target("sampled spread within 10 % of the true one", f"{spread:.3f}", "1",
                 abs(spread - 1.0) <= SPREAD_WITHIN)  # fmt: skip


def _extremes(found: _NUMBERS) -> Iterator[Target]:
    rows = {noise: row for noise, row in found.items() if isinstance(row, Mapping)}
    for name, what in (
        ("neither", "lines 3 to 8 times stronger: within 15 % of the fit or flagged"),
        ("neither, nor within 2 sigma of the fit", "the same, or within two errors of the fit"),
    ):
        reached = ", ".join(f"{row[name]:.1%} at {noise}" for noise, row in rows.items())
        yield Target(what, f"fail: {reached}", "0 %", all(row[name] == 0 for row in rows.values()))


def _speed(found: _NUMBERS) -> Iterator[Target]:
    rates = {name: rate["processor"] for name, rate in found.items()}
    part = rates.pop(PRODUCTS, None)
    for name, value in rates.items():
        bound = f"{part:,.0f} for one step" if part and name == ANY_NOISE else ""
        yield Target(f"100 000 spectra/s on 2 cores, by processor time: {name}", f"{value:,.0f}",
                     bound, value >= LEAST_RATE)  # fmt: skip


def _training(card: _NUMBERS) -> Iterator[Target]:
    how = card.get("trained_with", {})
    seconds, busy = how.get("seconds"), how.get("processor_seconds")
    if not seconds:
        return
    reached = f"{seconds / 60.0:.0f} minutes by the clock"
    reached += f" of a shared machine, {busy / 60.0:.0f} of processor time" if busy else ""
    yield Target("one training of 30 minutes or less", reached, "",
                 (busy or seconds) <= 60.0 * MOST_MINUTES)  # fmt: skip

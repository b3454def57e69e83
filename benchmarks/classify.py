"""How often, and how honestly, nebulae are told apart.

    python -m benchmarks.classify [--lists FOLDER]

Two tests, neither of which the densities were learned from: spectra drawn from the simulator's
priors with another seed, with dust and noise; and published line lists of real nebulae (the
examples of NEAT, Wesson et al. 2012, in FOLDER), if they are there. Writes
``benchmarks/results/classify.md`` and ``.json``.
"""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from benchmarks.learn_regions import line_names
from benchmarks.reporting import save, table
from nebulines.fitting.result import Result
from nebulines.models import transmission
from nebulines.nebular.diagnostics import Bpt
from nebulines.nebular.extinction import vacuum_wavelength
from nebulines.nebular.interpret import interpret
from nebulines.nebular.regions import CLASSES, DEFAULT_SHARES, Classified, Region, classify
from nebulines.synthetic.line_priors import draw_lines

HELD_OUT_SEED = 777
_BINS = np.linspace(0.0, 1.0, 11)
_SNR = ((3.0, 10.0), (10.0, 30.0), (30.0, 100.0), (100.0, 300.0))
_SN3 = ("NII6583", "HALPHA6563", "SII6716", "SII6731")
_KINDS = {"extragalactic hii region": "hii", "galactic hii region": "hii", "lmc hii region": "hii"}
_KINDS |= {"smc hii region": "hii", "galactic planetary nebula": "pn"}
_KINDS |= {"galactic wr nebula": "wr", "lmc wr nebula": "wr"}
_REPEATED = {"ngc6543_2cols", "ngc6543_4cols", "ngc7009_cels"}
"""Second lists of one nebula."""
_ERROR = 0.1
"""Relative error of fluxes that are published without one."""
_TEMPERATURE = ("OIII4363", "OIII4959")
"""Lines that a temperature needs, beside those of the classes."""
_OXYGEN = ("OII", "OII3726", "OII3729")
_TOLERANCE = 1.3
"""How far [Angstrom] a listed wavelength may lie from the line's."""


class Sources(NamedTuple):
    """Fluxes and errors by line, and the true class (n,)."""

    fluxes: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    region: np.ndarray


class Listed(NamedTuple):
    """A published list: name, kind, fluxes and errors by line."""

    name: str
    kind: str
    fluxes: dict[str, float]
    errors: dict[str, float]


def held_out(n: int, snr: tuple[float, float], seed: int = HELD_OUT_SEED) -> Sources:
    """Sources of the simulator's ``mixed`` prior behind dust, E(B-V) 0 to 0.5, with noise such
    that H-beta has a S/N drawn from a range (logarithmically)."""
    generator, names = np.random.default_rng([seed, round(snr[0])]), line_names()
    draw = draw_lines(generator, "mixed", names, n)
    waves = [vacuum_wavelength(name) for name in names]
    fluxes = draw.fluxes * transmission(np.array(waves), generator.uniform(0.0, 0.5, n))
    level = np.exp(generator.uniform(*np.log(snr), n))
    sigma = fluxes[:, names.index("HBETA4861")] / level
    noisy = fluxes + sigma[:, None] * generator.standard_normal(fluxes.shape)
    assert draw.region is not None
    number = np.array([int(Region[name.upper()]) for name in draw.regions])
    return Sources(
        dict(zip(names, noisy.T, strict=True)),
        dict.fromkeys(names, sigma),
        number[draw.region],
    )


def scores(found: Classified, truth: np.ndarray) -> dict[str, Any]:
    """Accuracy, what the probabilities promise, log loss and calibration error."""
    known = found.region > 0
    probability, region, truth = found.probability[known], found.region[known], truth[known]
    right = probability[np.arange(len(truth)), truth - 1]
    return {
        "n": len(known),
        "classified": float(known.mean()),
        "accuracy": float(np.mean(region == truth)),
        "promised": float(probability.max(axis=1).mean()),
        "log_loss": float(-np.log(np.maximum(right, 1e-12)).mean()),
        "calibration_error": calibration_error(probability, truth),
        "unlike": float(found.unlike[known].mean()),
        "confusion": confusion(region, truth),
    }


def confusion(region: np.ndarray, truth: np.ndarray) -> list[list[int]]:
    """Counts, a row a true class, a column an assigned one."""
    return [[int(np.sum((truth == t) & (region == r))) for r in CLASSES] for t in CLASSES]


def reliability(probability: np.ndarray, truth: np.ndarray) -> list[tuple[float, float, int]]:
    """(mean probability, share that was right, count) per bin, all classes together."""
    hit = (truth[:, None] == np.array(CLASSES)).ravel()
    flat = probability.ravel()
    place = np.clip(np.digitize(flat, _BINS) - 1, 0, len(_BINS) - 2)
    return [
        (float(flat[place == b].mean()), float(hit[place == b].mean()), int(np.sum(place == b)))
        for b in range(len(_BINS) - 1)
        if np.any(place == b)
    ]


def calibration_error(probability: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of promised from true shares over all probabilities."""
    rows = reliability(probability, truth)
    total = sum(n for *_, n in rows)
    return sum(n * abs(p - share) for p, share, n in rows) / total


def read_lists(folder: Path) -> Iterator[Listed]:
    """The published lists whose kind the first line tells; columns wavelength, flux, error."""
    for path in sorted(folder.glob("*.dat")):
        text = path.read_text(encoding="utf-8", errors="replace")
        kind = _KINDS.get(text.splitlines()[0].lstrip("# ").strip().casefold())
        if kind and path.stem not in _REPEATED:
            yield Listed(path.stem, kind, *_lines_of(text))


def _lines_of(text: str) -> tuple[dict[str, float], dict[str, float]]:
    rows = [re.findall(r"[-+\d.Ee]+", line) for line in text.splitlines() if line[:1] != "#"]
    numbers = np.array(
        [
            [
                float(row[0]),
                float(row[1]),
                float(row[2]) if len(row) == 3 else _ERROR * float(row[1]),
            ]
            for row in rows
            if len(row) in (2, 3)
        ]
    )
    names = (*line_names(), *_TEMPERATURE)
    wanted = {name: vacuum_wavelength(name) / 1.000277 for name in names}
    wanted |= {"OII": 3727.0}
    fluxes: dict[str, float] = {}
    errors: dict[str, float] = {}
    for name, wave in wanted.items():
        near = np.abs(numbers[:, 0] - wave)
        if near.min() < (0.15 if name in _OXYGEN else _TOLERANCE):
            row = numbers[near.argmin()]
            fluxes[name], errors[name] = row[1], max(row[2], 0.02 * abs(row[1]))
    if {"OII3726", "OII3729"} <= fluxes.keys():
        fluxes.pop("OII", None)
        errors.pop("OII", None)
    return fluxes, errors


def classify_list(one: Listed) -> Classified:
    """One published nebula; dereddened lists have a decrement of case B, others are corrected."""
    known = {"OII", *line_names()} & one.fluxes.keys()
    fluxes = {name: np.array([one.fluxes[name]]) for name in known}
    errors = {name: np.array([one.errors[name]]) for name in known}
    return classify(fluxes, errors)


def _mock_section(n: int) -> tuple[dict[str, Any], list[str]]:
    facts: dict[str, Any] = {}
    rows = []
    for label, names in (("all", line_names()), ("SN3 alone", _SN3)):
        for snr in _SNR:
            sources = held_out(n, snr)
            chosen = {k: v for k, v in sources.fluxes.items() if k in names}
            found = classify(chosen, {k: sources.errors[k] for k in chosen})
            one = scores(found, sources.region)
            facts[f"{label}, S/N {snr[0]:g}-{snr[1]:g}"] = one
            rows.append([label, f"{snr[0]:g}-{snr[1]:g}", *(_percent(one[k]) for k in _SHOWN)])
    return facts, ["## Held-out simulated nebulae", _MOCK_TEXT, table(_HEAD, rows)]


_SHOWN = ("classified", "accuracy", "promised", "calibration_error", "unlike")
_HEAD = ("lines", "S/N of H-beta", "classified", "right", "promised", "calibration error", "unlike")
_MOCK_TEXT = (
    "Drawn from the simulator's prior `mixed` (shares "
    + ", ".join(f"{name} {share:g}" for name, share in DEFAULT_SHARES.items())
    + ") with a seed that nothing was learned from, behind dust, E(B-V) 0 to 0.5. `promised`: mean "
    "probability of the class chosen, which an honest classifier reaches as `right`. Calibration "
    "error: mean distance between probability and frequency in ten bins. `unlike`: flagged as far "
    "from every class."
)


def speed(n: int) -> float:
    """Sources a second in one process, all lines."""
    sources = held_out(n, _SNR[1])
    classify(sources.fluxes, sources.errors)
    begin = time.perf_counter()
    classify(sources.fluxes, sources.errors)
    return n / (time.perf_counter() - begin)


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _reliability_section(n: int) -> tuple[dict[str, Any], list[str]]:
    parts = [held_out(n, snr) for snr in _SNR]
    found = [classify(part.fluxes, part.errors) for part in parts]
    known = [one.region > 0 for one in found]
    probability = np.concatenate([one.probability[k] for one, k in zip(found, known, strict=True)])
    truth = np.concatenate([part.region[k] for part, k in zip(parts, known, strict=True)])
    region = np.concatenate([one.region[k] for one, k in zip(found, known, strict=True)])
    rows = reliability(probability, truth)
    shown = [[f"{p:.3f}", f"{share:.3f}", count] for p, share, count in rows]
    names = [region.name.lower() for region in CLASSES]
    counts = confusion(region, truth)
    text = [
        "## Reliability, all lines, every S/N",
        table(("probability", "frequency", "number"), shown),
        "## Confusion (rows: true class)",
        table(("", *names), [[name, *row] for name, row in zip(names, counts, strict=True)]),
    ]
    return {"reliability": rows, "confusion": counts}, text


def _published_section(folder: Path) -> tuple[dict[str, Any], list[str]]:
    lists = [one for one in read_lists(folder) if "HALPHA6563" in one.fluxes]
    found = [classify_list(one) for one in lists]
    rows, facts = [], {}
    for kind in ("hii", "pn", "wr"):
        here = [one for listed, one in zip(lists, found, strict=True) if listed.kind == kind]
        regions = [Region(int(one.region[0])).name for one in here]
        counts = {region.name: regions.count(region.name) for region in Region}
        unlike = sum(bool(one.unlike[0]) for one in here)
        facts[kind] = {"n": len(here), **counts, "unlike": unlike}
        rows.append([kind, len(here), *counts.values(), unlike])
    details = {
        listed.name: [listed.kind, Region(int(one.region[0])).name, one.probability[0].tolist()]
        for listed, one in zip(lists, found, strict=True)
    }
    head = ("published as", "number", *(region.name for region in Region), "unlike")
    text = [
        "## Published line lists",
        "Real nebulae (the example lists of NEAT: 69 H II regions of Bresolin et al. 2005, others "
        "of Esteban et al. 2009, Tsamis et al. 2003, planetary nebulae of Wesson et al. 2005, "
        "nebulae around WR stars of Stock et al. 2011). Errors below 2 per "
        "cent are raised to 2 per cent, those that are not published are set to 10 per cent. "
        "Lists without Ha are left out. The classes are what each list is published as; a WR "
        "nebula (ejecta and swept gas) has no class of its own here.",
        table(head, rows),
    ]
    return {"counts": facts, "lists": details}, text


def published_temperatures() -> dict[str, tuple[float, str]]:
    """Temperature [K] from [O III] of each published nebula, and its source."""
    path = Path(__file__).parent / "published_nebulae.toml"
    groups = tomllib.loads(path.read_text(encoding="utf-8"))["nebula"]
    return {
        name: (value, group["source"])
        for group in groups
        for name, value in group["temperature"].items()
    }


def physics_of(one: Listed) -> dict[str, float]:
    """What `nebulines classify` says of a published list."""
    columns = {f"{name}_flux": np.array([flux]) for name, flux in one.fluxes.items()}
    columns |= {f"{name}_flux_err": np.array([error]) for name, error in one.errors.items()}
    found = interpret(Result(columns))
    nothing = np.full(1, np.nan)
    return {
        name: float(found.columns.get(name, nothing)[0])
        for name in ("ebv", "electron_temperature", "electron_temperature_err",
                     "electron_density", "oxygen_abundance", "bpt_nii", "region_class")
    }  # fmt: skip


def _compared(found: dict[str, float]) -> tuple[str, str]:
    """A temperature with its error, and its difference from the published one [%]."""
    ours, error = found["electron_temperature"], found["electron_temperature_err"]
    if not np.isfinite(ours):
        return "[O III] 4363 below 3 sigma", "-"
    return f"{ours:.0f} ± {error:.0f}", f"{100 * (ours / found['published_temperature'] - 1):+.1f}"


def _or_outside(abundance: float) -> str:
    return f"{abundance:.2f}" if np.isfinite(abundance) else "outside the calibration"


def _physics_section(folder: Path) -> tuple[dict[str, Any], list[str]]:
    known = published_temperatures()
    facts, rows = {}, []
    for one in read_lists(folder):
        if one.name not in known:
            continue
        temperature, source = known[one.name]
        found = facts[one.name] = physics_of(one) | {"published_temperature": temperature}
        rows.append(
            [one.name, source, temperature, *_compared(found), f"{found['ebv']:.2f}",
             f"{found['electron_density']:.0f}", _or_outside(found["oxygen_abundance"]),
             Bpt(int(found["bpt_nii"])).name, Region(int(found["region_class"])).name]
        )  # fmt: skip
    away = [abs(f["electron_temperature"] / f["published_temperature"] - 1) for f in facts.values()]
    head = ("list", "source", "T published [K]", "T here [K]", "difference [%]", "E(B-V)",
            "density [cm-3]", "12 + log O/H (O3N2)", "BPT", "class")  # fmt: skip
    text = [
        "## Physics of published nebulae",
        "What `nebulines classify` says of the lists whose papers' temperatures from [O III] were "
        "at hand (`benchmarks/published_nebulae.toml`); the lists themselves state no density, "
        "temperature or abundance. "
        f"{len(away)} lists, largest difference {100 * np.nanmax(away):.1f} % (newer collision "
        "strengths than the papers'). Density from [S II] (1 = its lower limit); oxygen abundance "
        "by the calibration of Marino et al. 2013, which was made for star-forming galaxies.",
        table(head, rows),
    ]
    return {"physics": facts}, text


@click.command()
@click.option("--lists", type=click.Path(path_type=Path), help="Folder of published line lists.")
@click.option("--n", "number", default=20_000, show_default=True, help="Mock nebulae per row.")
def main(lists: Path | None, number: int) -> None:
    """Judge the classes of nebulae and write the tables."""
    if lists is not None and not any(read_lists(lists)):
        raise click.UsageError(f"{lists} holds no line list (.dat): give the folder of the lists")
    mock, text = _mock_section(number)
    honest, more = _reliability_section(number)
    facts: dict[str, Any] = {"held_out": mock, **honest}
    text += more
    facts["sources_per_second"] = speed(number)
    text.append(f"Speed: {facts['sources_per_second']:,.0f} nebulae a second, seven ratios each.")
    if lists is not None:
        facts["published"], more = _published_section(lists)
        text += more
        physics, more = _physics_section(lists)
        facts |= physics
        text += more
    save("classify", "Classes of nebulae", facts, "\n\n".join(text))


if __name__ == "__main__":
    main()

"""How often, and how honestly, nebulae are told apart.

    python -m benchmarks.classify [--lists FOLDER]

Two tests, neither of which the densities were learned from: spectra drawn from the simulator's
priors with another seed, with dust and noise; and published line lists of real nebulae (the
examples of NEAT, Wesson et al. 2012, in FOLDER), if they are there. Writes
``benchmarks/results/classify.md`` and ``.json``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from benchmarks.learn_regions import line_names
from benchmarks.published_lists import (
    Listed,
    classify_list,
    physics_of,
    published_temperatures,
    read_lists,
)
from benchmarks.reporting import save, table
from nebulines.models import transmission
from nebulines.nebular.diagnostics import Bpt
from nebulines.nebular.extinction import vacuum_wavelength
from nebulines.nebular.regions import (
    CLASSES,
    DEFAULT_SHARES,
    SURE,
    Classified,
    Region,
    classify,
)
from nebulines.synthetic.line_priors import draw_lines

HELD_OUT_SEED = 777
_BINS = np.linspace(0.0, 1.0, 11)
_SNR = ((3.0, 10.0), (10.0, 30.0), (30.0, 100.0), (100.0, 300.0))
_SN3 = ("NII6583", "HALPHA6563", "SII6716", "SII6731")


class Sources(NamedTuple):
    """Fluxes and errors by line, and the true class (n,)."""

    fluxes: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    region: np.ndarray


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
        "ambiguous": float(found.ambiguous[known].mean()),
        "wrong_ambiguous": _share(found.ambiguous[known], region != truth),
        "accuracy_of_others": _share(region == truth, ~found.ambiguous[known]),
        "confusion": confusion(region, truth),
    }


def _share(what: np.ndarray, among: np.ndarray) -> float:
    return float(what[among].mean()) if among.any() else float("nan")


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


_SHOWN = ("classified", "accuracy", "promised", "calibration_error", "unlike", "ambiguous",
          "wrong_ambiguous", "accuracy_of_others")  # fmt: skip
_HEAD = ("lines", "S/N of H-beta", "classified", "right", "promised", "calibration error", "unlike",
         "ambiguous", "wrong ones so flagged", "right of the others")  # fmt: skip
_MOCK_TEXT = (
    "Drawn from the simulator's prior `mixed` (shares "
    + ", ".join(f"{name} {share:g}" for name, share in DEFAULT_SHARES.items())
    + ") with a seed that nothing was learned from, behind dust, E(B-V) 0 to 0.5. `promised`: mean "
    "probability of the class chosen, which an honest classifier reaches as `right`. Calibration "
    "error: mean distance between probability and frequency in ten bins. `unlike`: flagged as far "
    f"from every class; `ambiguous`: the class chosen is less probable than {SURE:g}."
)


def speed(n: int) -> float:
    """Sources a second of processor time, all lines."""
    sources = held_out(n, _SNR[1])
    classify(sources.fluxes, sources.errors)
    begin = time.process_time()
    classify(sources.fluxes, sources.errors)
    return n / (time.process_time() - begin)


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
        flagged = [sum(bool(part[0]) for part in column) for column in
                   ([one.unlike for one in here], [one.ambiguous for one in here])]  # fmt: skip
        facts[kind] = {"n": len(here), **counts, "unlike": flagged[0], "ambiguous": flagged[1]}
        rows.append([kind, len(here), *counts.values(), *flagged])
    details = {
        listed.name: [listed.kind, Region(int(one.region[0])).name, one.probability[0].tolist()]
        for listed, one in zip(lists, found, strict=True)
    }
    head = ("published as", "number", *(region.name for region in Region), "unlike", "ambiguous")
    text = [
        "## Published line lists",
        "Real nebulae (the example lists of NEAT: 69 H II regions of Bresolin et al. 2005, others "
        "of Esteban et al. 2009, Tsamis et al. 2003, planetary nebulae of Wesson et al. 2005, "
        "nebulae around WR stars of Stock et al. 2011). Errors below 2 per "
        "cent are raised to 2 per cent, those that are not published are set to 10 per cent. "
        "Lists without Ha are left out. The classes are what each list is published as; a WR "
        "nebula (ejecta and swept gas) has no class of its own here.",
        table(head, rows),
        *_differing(lists, found),
    ]
    return {"counts": facts, "lists": details}, text


def _differing(lists: list[Listed], found: list[Classified]) -> list[str]:
    """The H II regions and planetary nebulae that get another class than the published one."""
    rows = []
    for listed, one in zip(lists, found, strict=True):
        region = Region(int(one.region[0])).name
        if listed.kind == "wr" or region.lower() == listed.kind:
            continue
        own = CLASSES.index(Region[listed.kind.upper()])
        rows.append(
            [listed.name, listed.kind, region, f"{one.probability[0].max():.2f}",
             f"{one.probability[0, own]:.2f}", "yes" if one.ambiguous[0] else "**no**",
             ", ".join(_decisive(listed)) or "-"]
        )  # fmt: skip
    head = ("list", "published as", "class", "probability", "of the published class",
            "`AMBIGUOUS_CLASS`", "published class without")  # fmt: skip
    flagged = sum(row[5] == "yes" for row in rows)
    text = (
        f"{len(rows)} H II regions and planetary nebulae get another class; {flagged} of these "
        "carry a flag. The last column: lines of which any one, left out, gives the published "
        "class."
    )
    return [text, table(head, rows)]


def _decisive(listed: Listed) -> list[str]:
    """Lines without which, one at a time, the class is the published one."""
    groups = [("OI6300",), ("NEIII3869",), ("OII", "OII3726", "OII3729"), ("NII6583",),
              ("OIII5007",), ("SII6716", "SII6731")]  # fmt: skip
    wanted = int(Region[listed.kind.upper()])
    return [
        " + ".join(lines)
        for lines in (tuple(line for line in group if line in listed.fluxes) for group in groups)
        if lines and int(classify_list(listed, without=lines).region[0]) == wanted
    ]


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
    facts["sources_per_processor_second"] = rate = speed(number)
    text.append(f"Speed: {rate:,.0f} nebulae per second of processor time, seven ratios each.")
    if lists is not None:
        facts["published"], more = _published_section(lists)
        text += more
        physics, more = _physics_section(lists)
        facts |= physics
        text += more
    save("classify", "Classes of nebulae", facts, "\n\n".join(text))


if __name__ == "__main__":
    main()

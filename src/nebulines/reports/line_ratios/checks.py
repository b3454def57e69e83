"""The sections of ``nebulines reproduce line-ratios`` that check one thing each."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.evaluation.coverage import nmad
from nebulines.evaluation.held_out import held_out_seed
from nebulines.evaluation.line_ratio_floor import LEAST_EFFECTIVE, exact_medians
from nebulines.evaluation.line_ratio_methods import joint_fit
from nebulines.evaluation.line_ratios import RatioSet, draw_ratio_set
from nebulines.evaluation.published import published
from nebulines.evaluation.tables import markdown
from nebulines.lines import load_catalogue
from nebulines.models.dust import transmission
from nebulines.networks.line_ratios.ann import RATIOS
from nebulines.networks.line_ratios.space import LINES
from nebulines.reports.line_ratios.workshop import Workshop
from nebulines.reports.section import Section
from nebulines.training.line_ratios.ann import true_ratios
from nebulines.training.line_ratios.priors import EBV
from nebulines.training.line_ratios.spectra import paper_objects, with_partners

_DUST_AV = (0.0, 1.0, 2.0, 3.0)
_RV = 3.1
_DUST_SNR = 30.0
_DUST_OBJECTS = 800
_DUST_SOURCES = 400_000


def doublet(work: Workshop) -> Section:
    """[N II] 6548/6583, which atomic physics fixes."""
    paper = published("rhea2021")["doublet"]
    truth = work.held_out.ratio[:, -1]
    rows: list[list[Any]] = []
    numbers = {}
    for name, found in work.found.items():
        error = 100.0 * (found.ratio[:, -1] / truth - 1.0)
        error = error[np.isfinite(error)]
        if name in ("joint fit", "line_ratios"):
            rows.append([name, "tied: exact", None, None])
            continue
        numbers[name] = {
            "bias": float(np.median(error)), "std": float(error.std()), "nmad": nmad(error)
        }  # fmt: skip
        rows.append([name, f"{np.median(error):+.2f}", float(error.std()), nmad(error)])
    rows.append([f"paper, {paper['where']}", "0 to -1", paper["scatter"], None])
    header = ["method", "bias [%]", "standard deviation [%]", "robust scatter [%]"]
    text = (
        "The ratio is the same in all training spectra, so that a network need only learn a "
        "constant, which the last layer of `line_ratio_ann`, solved for by least squares at the "
        "end of its training, says whatever the spectrum; methods that tie the lines have it by "
        "construction; free fits of both lines show what the data alone say."
    )
    return Section([text, markdown(header, rows)], numbers)


def dust(work: Workshop) -> Section:
    """Ratios corrected for dust, for A_V 0 to 3 at S/N 30."""
    ours = type(work.ours)(prior="hii")
    n = min(_DUST_OBJECTS, work.plan.n)
    cases = {f"A_V {av:g}": _dust_case(ours, work.plan.seed, k, n)
             for k, av in enumerate(_DUST_AV)}  # fmt: skip
    return dust_section(cases, n)


def dust_section(cases: dict[str, Any], n: int) -> Section:
    """What was found of n objects for each A_V, as a table.

    Args:
        cases: by A_V, as they stand in the numbers of the report.
        n: objects of each.
    """
    methods, power = ("line_ratios", "joint fit"), _dust_power()
    shown = []
    for name, case in cases.items():
        case["dereddened"] = {
            key: {part: power * case[key][part] for part in ("bias", "error")} for key in methods
        }
        shown.append(
            [name, *(_percent(case[key]) for key in ("posterior", "exact", *methods)),
             100 * case["bound"], *(_percent(case["dereddened"][key]) for key in methods)]
        )  # fmt: skip
    header = [
        "", "posterior of `line_ratios` [%]", "exact posterior [%]",
        "fluxes of `line_ratios` [%]", "fluxes of the joint fit [%]", "bound of the scatter [%]",
        "correction of [O II]/Hβ, fluxes of `line_ratios` [%]", "the same, joint fit [%]",
    ]  # fmt: skip
    text = (
        f"{n:,} H II regions at S/N {_DUST_SNR:g} for each A_V (CCM89, R_V 3.1): mean error of the "
        "natural logarithm of Hα/Hβ, and of the factor that corrects [O II]/Hβ with it, which is "
        "what dereddening adds to a ratio. The posterior's median (`line_ratios` told that they "
        f"are H II regions with E(B-V) anywhere in {EBV[0]:g} to {EBV[1]:g}) is that of a law flat "
        "in E(B-V), so in the logarithm of a faint flux: it is off by about twice the square of "
        "its relative error, however exact. **exact posterior**: of fluxes with the bound's "
        "errors, under the very prior that `line_ratios` was told, of the objects of which enough "
        "drawn sources speak. The fluxes themselves, which `line_ratios` measures too, lean on no "
        "prior; `nebulines classify` takes E(B-V) and every dereddened ratio from them, and that "
        "is what the target is held against."
    )
    return Section([text, markdown(header, shown)], cases)


def _dust_case(ours: Any, seed: int, number: int, n: int) -> dict[str, Any]:
    """Mean errors of one A_V, each with its standard error; logarithms."""
    held_out = draw_ratio_set(
        n, seed=seed, stream=10 + number, kind="hii", snr=(_DUST_SNR, _DUST_SNR),
        ebv=_DUST_AV[number] / _RV,
    )  # fmt: skip
    true, balmer = np.log(held_out.ratio), RATIOS.index("HALPHA6563/HBETA4861")
    fluxes = ours.fluxes(held_out.objects)
    said = np.log(ours.judged(fluxes, held_out.objects).ratio)
    exact, known = _exact(held_out, balmer, seed + number)
    case: dict[str, Any] = {
        "posterior": _mean(said[:, balmer] - true[:, balmer]),
        "exact": _mean(exact) | {"objects": len(exact), "sources": known},
        "scatter": float(np.std(said[:, balmer] - true[:, balmer])),
        "bound": float(np.sqrt(np.mean(held_out.bound[:, balmer] ** 2))),
    }
    named = with_partners(dict(zip(LINES, fluxes.value.T, strict=True)))
    measured = {
        "line_ratios": true_ratios({f"{name}_flux": values for name, values in named.items()}),
        "joint fit": joint_fit(held_out.objects).ratio,
    }
    for name, ratio in measured.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            miss = np.log(ratio) - true
        case[name] = _mean(miss[:, balmer])
    return case


def _dust_power() -> float:
    """d ln of the correction of [O II]/H-beta by ln of H-alpha/H-beta (CCM89, R_V 3.1)."""
    waves = load_catalogue().select(["OII3726", "HBETA4861", "HALPHA6563"]).wavelength_vacuum
    oxygen, beta, alpha = -np.log(transmission(waves, 1.0))
    return float((oxygen - beta) / (beta - alpha))


def _mean(values: np.ndarray) -> dict[str, float]:
    """Mean and its standard error of what is finite."""
    values = values[np.isfinite(values)]
    error = np.std(values) / np.sqrt(max(len(values), 1))
    return {"bias": float(np.mean(values)), "error": float(error)}


def _percent(found: dict[str, float]) -> str:
    return f"{100 * found['bias']:+.2f} ± {100 * found['error']:.2f}"


def _exact(held_out: RatioSet, ratio: int, seed: int) -> tuple[np.ndarray, float]:
    """Errors of the exact posterior's median, and the median number of sources behind one."""
    found, effective = exact_medians(
        held_out.objects, RATIOS[ratio], seed=seed, kind="hii", sources=_DUST_SOURCES
    )
    sure = effective > LEAST_EFFECTIVE / 3.0
    miss = found - np.log(held_out.ratio[:, ratio])
    return miss[sure], float(np.median(effective))


def cross_validation(work: Workshop) -> Section:
    """``line_ratio_ann`` (one member) on all parts of a set but one, scored on that one."""
    from nebulines.training.config import TrainConfig
    from nebulines.training.line_ratios.ann import labelled, line_ratio_ann_task
    from nebulines.training.several import cross_validate

    plan = work.plan
    data = labelled(paper_objects(plan.k_spectra, held_out_seed(plan.seed, 70)))
    size = plan.k_spectra - plan.k_spectra // plan.folds
    part = data.rows(slice(0, size))
    task = line_ratio_ann_task(part, data, epochs=plan.k_epochs, members=1)
    config = TrainConfig(**{**task.learning, "seed": plan.seed})
    trained = cross_validate(
        lambda learn, left: line_ratio_ann_task(data.rows(learn), data.rows(left), members=1),
        plan.k_spectra, plan.folds, config, seed=plan.seed, progress=False,
    )  # fmt: skip
    losses = np.array([fold.best for fold in trained])
    rows: list[list[Any]] = [[k + 1, float(loss)] for k, loss in enumerate(losses)]
    rows.append(["spread / mean [%]", 100.0 * float(losses.std(ddof=1) / losses.mean())])
    paper = published("rhea2021")["kfold"]
    text = (
        f"One member, {plan.k_spectra:,} objects in {plan.folds} parts, {plan.k_epochs} epochs; "
        f"Huber loss on the part left out. The paper ({paper['where']}): {paper['folds']} folds, "
        f"{paper['spread']}."
    )
    return Section([text, markdown(["part", "loss"], rows)], {"loss": losses.tolist()})

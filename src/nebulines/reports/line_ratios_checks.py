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
from nebulines.networks.line_ratio_ann import RATIOS
from nebulines.reports.line_ratios_sections import Workshop
from nebulines.reports.section import Section
from nebulines.training.line_ratio_priors import EBV, reddening_of_decrement
from nebulines.training.line_ratio_spectra import paper_objects

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
        "constant; methods that tie the lines have it by construction; free fits of both lines "
        "show what the data alone say."
    )
    return Section([text, markdown(header, rows)], numbers)


def dust(work: Workshop) -> Section:
    """Ratios corrected for dust, for A_V 0 to 3 at S/N 30."""
    rows: list[list[Any]] = []
    numbers: dict[str, Any] = {}
    ours = type(work.ours)(prior="hii")
    n = min(_DUST_OBJECTS, work.plan.n)
    for k, extinction in enumerate(_DUST_AV):
        held_out = draw_ratio_set(
            n, seed=work.plan.seed, stream=10 + k, kind="hii", snr=(_DUST_SNR, _DUST_SNR),
            ebv=extinction / _RV,
        )  # fmt: skip
        found = ours(held_out.objects)
        balmer = RATIOS.index("HALPHA6563/HBETA4861")
        miss = np.log(found.ratio[:, balmer] / held_out.ratio[:, balmer])
        mean = float(np.mean(miss))
        error = float(np.std(miss) / np.sqrt(n))
        scatter = float(np.std(miss))
        free = np.log(joint_fit(held_out.objects).ratio[:, balmer] / held_out.ratio[:, balmer])
        fitted = float(np.nanmean(free))
        fitted_error = float(np.nanstd(free) / np.sqrt(n))
        bound = float(np.sqrt(np.mean(held_out.bound[:, balmer] ** 2)))
        exact, known = _exact(held_out, balmer, work.plan.seed + k)
        ebv_bias = mean / np.log(10.0) / reddening_of_decrement()
        numbers[f"A_V {extinction:g}"] = {
            "bias": mean, "error": error, "scatter": scatter,
            "joint_fit_bias": fitted, "joint_fit_error": fitted_error,
            "exact_bias": float(np.mean(exact)), "exact_error": _of_mean(exact),
            "exact_objects": len(exact), "exact_sources": known,
        }  # fmt: skip
        rows.append(
            [extinction, f"{100 * mean:+.2f} ± {100 * error:.2f}", 100 * scatter, 100 * bound,
             f"{100 * np.mean(exact):+.2f} ± {100 * _of_mean(exact):.2f}",
             f"{_RV * ebv_bias:+.3f}", f"{100 * fitted:+.2f} ± {100 * fitted_error:.2f}"]
        )  # fmt: skip
    header = [
        "A_V [mag]",
        "mean error of Ha/Hb [%]",
        "scatter [%]",
        "bound [%]",
        "exact posterior: mean error [%]",
        "bias of A_V [mag]",
        "joint fit: mean error of Ha/Hb [%]",
    ]
    text = (
        f"{n:,} H II regions at S/N {_DUST_SNR:g} for each A_V (CCM89, R_V 3.1); `line_ratios` "
        "told that they are H II regions with E(B-V) anywhere in "
        f"{EBV[0]:g} to {EBV[1]:g}. What dereddening carries into a ratio is the error of the "
        "decrement. The median of a posterior that is flat in E(B-V), so in the logarithm of a "
        "faint flux, is off by about twice the square of its relative error however exact it is: "
        "**exact posterior** is that of fluxes with the bound's errors, under the very prior that "
        "`line_ratios` was told, of the objects of which enough drawn sources speak. The joint fit "
        "leans on no prior: it is the one to deredden with at this S/N."
    )
    return Section([text, markdown(header, rows)], numbers)


def _exact(held_out: RatioSet, ratio: int, seed: int) -> tuple[np.ndarray, float]:
    """Errors of the exact posterior's median, and the median number of sources behind one."""
    found, effective = exact_medians(
        held_out.objects, RATIOS[ratio], seed=seed, kind="hii", sources=_DUST_SOURCES
    )
    sure = effective > LEAST_EFFECTIVE / 3.0
    miss = found - np.log(held_out.ratio[:, ratio])
    return miss[sure], float(np.median(effective))


def _of_mean(values: np.ndarray) -> float:
    """Standard error of a mean."""
    return float(np.std(values) / np.sqrt(max(len(values), 1)))


def cross_validation(work: Workshop) -> Section:
    """``line_ratio_ann`` (one member) on all parts of a set but one, scored on that one."""
    from nebulines.training.config import TrainConfig
    from nebulines.training.line_ratio_ann import labelled, line_ratio_ann_task
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

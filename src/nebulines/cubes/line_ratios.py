"""Line ratios, reddening and kinematics of objects seen in several bands, from networks.

The network ``kinematics`` gives velocity and broadening, from the band that says most of each
object; one linear solution there gives the fluxes of all bands with their covariance; and the
network ``line_ratios`` gives the joint posterior of the ratios, for a stated kind of nebulae.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nebulines.cubes.estimate import network_applies
from nebulines.cubes.line_fluxes import (
    LOST,
    LineFluxes,
    bound_flux_columns,
    halpha_snr,
    line_fluxes_of,
    measure_at_network,
    scaled,
)
from nebulines.cubes.provenance import provenance
from nebulines.errors import UsageError
from nebulines.fitting.columns import in_convention
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import model_flux
from nebulines.fitting.joint import JointBlock, joint_notes
from nebulines.fitting.joint_columns import columns_and_fluxes
from nebulines.fitting.joint_problem import JointPlan, resolve_bands
from nebulines.fitting.result import Result
from nebulines.fitting.tiles import as_slice, run_tiles
from nebulines.lines import load_ties
from nebulines.models.dust import transmission
from nebulines.networks.answer import Answer
from nebulines.networks.line_ratio_answer import EBV, RATIOS, answer
from nebulines.networks.line_ratio_levels import reading_levels
from nebulines.networks.line_ratio_space import LINES
from nebulines.networks.line_ratios import PRIORS
from nebulines.networks.weights import Pretrained, load
from nebulines.spectra import Flag, Spectra

TILE_ROWS = 512
DETECTED = 4.0
"""S/N of both lines from which a ratio can be told to lie outside what was trained on."""
OUTSIDE_SIGMAS = 4.0
_SUMS = {"SII": ("SII6716", "SII6731"), "OII": ("OII3726", "OII3729")}


def estimate_ratios(
    bands: Sequence[Spectra],
    config: FitConfig | None = None,
    *,
    prior: str = "mixed",
    **options: Any,
) -> Result:
    """Measure line ratios, reddening and kinematics with the networks alone.

    Args:
        bands: n rows each, row i of every band being the same object; one band will do.
        config: options as for `nebulines.fit`; None = the defaults with lines of fixed ratio
            tied.
        prior: kind of nebulae, one of `nebulines.networks.line_ratios.PRIORS`.
        **options: fields of `FitConfig` that replace those of ``config``.

    Returns:
        `Result` with the columns of a joint fit, its ratios replaced by the posterior's (see
        `ratio_columns`).

    Raises:
        UsageError: an unknown option or prior, bands of different numbers of rows.
        InputError: no spectrum.

    Example:
        >>> from nebulines.synthetic import simulate
        >>> truth, spectra = simulate("sitelle-sn3", n=4, seed=1, snr=(20.0, 30.0))
        >>> result = estimate_ratios([spectra], velocity_range=(-300.0, 300.0))
        >>> true = truth["NII6583_flux"] / truth["HALPHA6563_flux"]
        >>> miss = result["ratio_NII6583_HALPHA6563"] - true
        >>> bool((abs(miss) < 5.0 * result["ratio_NII6583_HALPHA6563_err"]).all())
        True
    """
    try:
        config = replace(config or FitConfig(amplitudes="tied"), **options)
    except TypeError as error:
        raise UsageError(f"unknown option of an estimate: {error}") from None
    if prior not in PRIORS:
        raise UsageError(f"no prior {prior!r} for line ratios: choose one of {', '.join(PRIORS)}")
    plan = resolve_bands(bands, config)
    block = estimate_joint_block(bands, plan, with_model=False, prior=prior)
    meta = provenance(bands[0], plan.config) | block.notes
    return Result(block.columns, bands[0].unit, meta)


def estimate_joint_block(
    bands: Sequence[Spectra], plan: JointPlan, *, with_model: bool = True, prior: str = "mixed"
) -> JointBlock:
    """Measure n objects; `nebulines.fitting.joint.fit_joint_block` with networks.

    Args:
        bands: n rows each.
        plan: from `nebulines.fitting.joint_problem.resolve_bands`.
        with_model: False leaves the models out (n, 0).
        prior: as in `estimate_ratios`.
    """
    if not network_applies(plan.config):
        raise UsageError(
            "the networks measure one component with one velocity for all lines: leave components "
            "and ties out, or use method 'both'"
        )
    framed, measured, found, flags = measure_at_network(bands, plan, with_model=with_model)
    columns, fluxes = columns_and_fluxes(measured, flags)
    names = list(plan.config.lines or ())
    if plan.config.amplitudes == "tied":
        columns |= bound_flux_columns(fluxes, names)
    seen = line_fluxes_of(fluxes, names, tied=plan.config.amplitudes == "positive")
    ratios, more = ratio_columns(seen, prior=prior)
    problem = measured.problem
    models = tuple(
        model_flux(fitted, own.data, own.channels, spectra)
        for fitted, own, spectra in zip(measured.joint.bands, problem.prepared, framed, strict=True)
    )
    notes = joint_notes(problem, framed, plan) | {
        "METHOD": "network", "FITPATH": "networks kinematics and line_ratios", "PRIOR": prior,
    }  # fmt: skip
    return JointBlock(_joined(columns, found, ratios, more, plan.config), models, notes)


def _joined(
    columns: dict[str, np.ndarray],
    found: Answer,
    ratios: dict[str, np.ndarray],
    more: np.ndarray,
    config: FitConfig,
) -> dict[str, np.ndarray]:
    """The columns with the posteriors of kinematics and ratios."""
    flags = columns["flags"] & ~int(Flag.NOT_CONVERGED | Flag.AT_BOUND | Flag.UNRESOLVED)
    empty = (flags & int(Flag.NO_DATA)) != 0
    flags = flags | np.where(empty, 0, more)
    flags[~empty & (found.lost > LOST)] |= int(Flag.AMBIGUOUS_VELOCITY)
    flags[~empty & (found.broadening < 2.0 * found.broadening_err)] |= int(Flag.UNRESOLVED)
    velocity, error = in_convention(
        np.asarray(found.offset, float), np.asarray(found.offset_err, float), config
    )
    own: dict[str, Any] = {
        "velocity": velocity, "velocity_err": error,
        "broadening": found.broadening, "broadening_err": found.broadening_err,
    }  # fmt: skip
    kept = {name: values for name, values in columns.items() if not name.startswith("ratio_")}
    fixed = {name: columns[name] for name in columns if _of_fixed_ratio(name)}
    new = {
        name: np.where(empty, np.nan, values).astype(np.float32)
        for name, values in (own | ratios).items()
    }
    last = {name: kept.pop(name) for name in ("n_components", "flags")}
    return kept | fixed | new | last | {"flags": flags.astype(np.int32)}


def _of_fixed_ratio(name: str) -> bool:
    return any(f"ratio_{t.strong}_{t.weak}" in name for t in load_ties())


def reported_ratios(shown: np.ndarray) -> tuple[str, ...]:
    """Ratios whose lines are all shown, and E(B-V) where H-alpha and H-beta are.

    Example:
        >>> reported_ratios(np.array([name == "HALPHA6563" for name in LINES]))
        ()
    """
    seen = {name for name, there in zip(LINES, shown, strict=True) if there}
    seen |= {total for total, parts in _SUMS.items() if seen.issuperset(parts)}
    names = tuple(ratio for ratio in RATIOS if seen.issuperset(ratio.split("/")))
    return (*names, EBV) if {"HALPHA6563", "HBETA4861"} <= seen else names


def ratio_columns(
    fluxes: LineFluxes, *, prior: str = "mixed", network: Pretrained | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The posterior of every ratio as columns, and flags.

    ``ratio_A_B`` is the posterior's median and ``ratio_A_B_err`` half of its central 68 %
    interval; ``log_ratio_A_B_q16`` (``q50``, ``q84``) are quantiles of log10; ``ebv`` is the
    colour excess [mag] for the law CCM89 with R_V 3.1. A line that is not detected gives a
    limit, in the shape of a wide posterior.

    Args:
        fluxes: measured.
        prior: kind of nebulae, one of `nebulines.networks.line_ratios.PRIORS`.
        network: None = the shipped ``line_ratios``.

    Returns:
        Name -> (n,), and bits (n,): ``OUT_OF_RANGE`` where a measured ratio is none that the
        network was trained on.

    Raises:
        UsageError: an unknown prior.
    """
    if prior not in PRIORS:
        raise UsageError(f"no prior {prior!r} for line ratios: choose one of {', '.join(PRIORS)}")
    network = network or load("line_ratios")
    names = reported_ratios(fluxes.shown)
    kind, per_ebv = PRIORS.index(prior), decrement_per_ebv()
    if not names:
        return {}, np.zeros(len(fluxes.value), np.int64)
    levels = reading_levels(network.card, prior, names, halpha_snr(fluxes)).astype(np.float32)
    data = [np.asarray(part, np.float32) for part in scaled(fluxes)]

    def work(rows: np.ndarray) -> tuple[np.ndarray, ...]:
        kinds, part = np.full(len(rows), kind), as_slice(rows)
        seen = data[0][part], data[1][part], fluxes.present[part]
        found = answer(network.network, *seen, kinds, names, per_ebv, levels[part])
        return tuple(np.asarray(part, float) for part in found[:3])

    low, middle, high = run_tiles(work, len(fluxes.value), TILE_ROWS)
    columns: dict[str, np.ndarray] = {}
    ratio, half = _ratios_of(low, middle, high)
    for k, name in enumerate(names):
        if name == EBV:
            columns[EBV] = middle[:, k]
            columns[f"{EBV}_err"] = 0.5 * (high[:, k] - low[:, k])
            continue
        label = name.replace("/", "_")
        columns[f"ratio_{label}"] = ratio[:, k]
        columns[f"ratio_{label}_err"] = half[:, k]
        for level, values in (("q16", low), ("q50", middle), ("q84", high)):
            columns[f"log_ratio_{label}_{level}"] = values[:, k]
    strange = out_of_range(fluxes, network.card["trained_ranges"]["log_ratio"][prior])
    return columns, np.where(strange, int(Flag.OUT_OF_RANGE), 0)


def _ratios_of(low: np.ndarray, middle: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, ...]:
    """Ratios (n, m) and half of their central intervals, of quantiles of their log10."""
    below, ratio, above = (np.exp(np.log(10.0) * part) for part in (low, middle, high))
    return ratio, 0.5 * (above - below)


def out_of_range(fluxes: LineFluxes, ranges: Mapping[str, Sequence[float]]) -> np.ndarray:
    """(n,) bool: a ratio of detected lines lies `OUTSIDE_SIGMAS` beyond what was trained on.

    Args:
        fluxes: measured.
        ranges: ratio -> (low, high) of its log10.
    """
    strange = np.zeros(len(fluxes.value), bool)
    parts = list(dict.fromkeys(part for ratio in ranges for part in ratio.split("/")))
    weights = {name: _weights(name) for name in parts}
    logs = dict(zip(parts, _logarithms(fluxes, list(weights.values())), strict=True))
    for ratio, (low, high) in ranges.items():
        top, bottom = ratio.split("/")
        there = fluxes.present[:, (weights[top] + weights[bottom]) > 0].all(axis=1)
        (log_a, error_a), (log_b, error_b) = logs[top], logs[bottom]
        with np.errstate(invalid="ignore"):
            sure = there & (error_a < _SURE_DEX) & (error_b < _SURE_DEX)
            away = OUTSIDE_SIGMAS * np.hypot(error_a, error_b)
            ratio_log = log_a - log_b
            strange |= sure & ((ratio_log < low - away) | (ratio_log > high + away))
    return strange


_SURE_DEX = 1.0 / (np.log(10.0) * DETECTED)


def _weights(name: str) -> np.ndarray:
    return np.isin(LINES, _SUMS.get(name, (name,))).astype(float)


def _logarithms(
    fluxes: LineFluxes, weights: Sequence[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """log10 of weighted sums of fluxes and its error; NaN where the sum is not positive."""
    total = fluxes.value @ np.stack(weights, axis=1)
    pairs = np.stack([np.outer(own, own).ravel() for own in weights], axis=1)
    variance = fluxes.covariance.reshape(len(total), -1) @ pairs
    good = total > 0
    safe = np.where(good, total, 1.0)
    log = np.where(good, np.log10(safe), np.nan)
    error = np.where(good, np.sqrt(np.maximum(variance, 0.0)) / safe / np.log(10.0), np.nan)
    return list(zip(log.T, error.T, strict=True))


def decrement_per_ebv() -> float:
    """Change of log10 of Ha/Hb with E(B-V) [1/mag], CCM89 with R_V 3.1."""
    from nebulines.lines import load_catalogue

    lines = load_catalogue().select(["HALPHA6563", "HBETA4861"]).wavelength_vacuum
    red, blue = transmission(lines, 1.0)
    return float(np.log10(red / blue))

"""Measure spectra with the network ``kinematics``: alone, or as the start of a fit."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from nebulines.constants import SINC_FWHM_PER_WIDTH, SPEED_OF_LIGHT_KMS
from nebulines.cubes.network.input import NetworkInput
from nebulines.errors import InputError, UsageError
from nebulines.fitting.columns import build_columns, has_rival
from nebulines.fitting.config import FitConfig
from nebulines.fitting.direct.point import measure_at
from nebulines.fitting.fit import FittedBlock, input_flags, model_flux
from nebulines.fitting.prepared import Prepared, prepare
from nebulines.fitting.start import Start
from nebulines.fitting.tiles import run_tiles, tile_size
from nebulines.networks.kinematics.answer import TILE_ROWS, Answer, answer
from nebulines.networks.kinematics.network import Kinematics
from nebulines.networks.weights import Pretrained, load
from nebulines.spectra import Flag, Spectra
from nebulines.spectral_axis import velocity_of

CALL_ROWS = (256, 512, 1024)
MANY_ROWS = 4096
"""Spectra given to one call, and of many: calling takes a millisecond, however many there are."""
LEAST_CHANNELS = 16
"""Shorter spectra show the network no line."""
DOUBT = 0.02
"""Probability that the lines were not found, above which the answer is ambiguous."""
OUTSIDE = 0.02
"""Probability of the ranges asked for, below which the answer lies outside them."""


def network_applies(config: FitConfig) -> bool:
    """Whether the network measures what is asked for: one velocity and one broadening, shared
    by all lines."""
    one_group = config.ties.strip().casefold() == "all"
    return one_group and config.shape != "sinc" and config.components == 1


def answers(prepared: Prepared, network: Kinematics) -> Answer:
    """What the network says of every spectrum; offsets are optical velocities already."""
    given = NetworkInput(prepared)

    def work(rows: np.ndarray) -> tuple[np.ndarray, ...]:
        n_tiles = -(-(int(rows[-1] - rows[0]) + 1) // TILE_ROWS)  # the last call is not full
        windows, shape = given.windows(rows), given.shape
        found = answer(network, windows, given.trials, given.ranges, shape, n_tiles)
        return tuple(np.asarray(part) for part in found)

    n = len(prepared.data.data)
    found = run_tiles(work, n, _rows_of_a_call(n))
    return _as_velocities(Answer(*found), given)


def _rows_of_a_call(n: int) -> int:
    """Rows of a call for n spectra: many where each core has a call of its own and hardly a row
    is added to fill the last."""
    spread = n >= MANY_ROWS * (os.cpu_count() or 2)
    if spread and -n % MANY_ROWS <= n // 16:
        return MANY_ROWS
    return tile_size(n, next((rows for rows in CALL_ROWS if n <= rows), CALL_ROWS[-1]))


def _as_velocities(found: Answer, given: NetworkInput) -> Answer:
    """Offsets as optical velocities; a broadening seen at the observed position refers to it."""
    of_offset, of_width = given.stretch(found.offset)
    best_offset, best_width = given.stretch(found.best_offset)
    return found._replace(
        offset=found.offset / of_offset,
        offset_err=found.offset_err / of_offset**2,
        best_offset=found.best_offset / best_offset,
        broadening=found.broadening / of_width,
        broadening_err=found.broadening_err / of_width,
        best_broadening=found.best_broadening / best_width,
    )


def estimate_block(
    spectra: Spectra,
    config: FitConfig,
    *,
    with_model: bool = True,
    network: Pretrained | None = None,
) -> FittedBlock:
    """Measure n spectra with the network alone.

    Velocity and broadening with their errors are the mean and the standard deviation of the
    network's posterior within the ranges of ``config``, given that the lines were found (where
    that is doubtful, a flag says so); fluxes and continuum follow from one
    linear solution there.

    Args:
        spectra: the data, n >= 1.
        config: options as `nebulines.fitting.fit.resolve` returns them.
        with_model: False leaves the model out (n, 0).
        network: None = the shipped network ``kinematics``.

    Returns:
        Columns, model and notes as of a fit.

    Raises:
        UsageError: several components or kinematic groups were asked for.
        InputError: the spectra are shorter than 16 channels.
    """
    if not network_applies(config):
        raise UsageError(
            "the network measures one component with one velocity for all lines: leave "
            "components and ties out, or use method 'both'"
        )
    if spectra.axis.n_channels < LEAST_CHANNELS:
        raise InputError(
            f"the network needs spectra of {LEAST_CHANNELS} channels or more, not "
            f"{spectra.axis.n_channels}: use method 'fit'"
        )
    network = network or load("kinematics")
    prepared = prepare(spectra, config)
    found = answers(prepared, network.network)
    start, mean = as_start(found), np.asarray(found.offset, float)
    at = start._replace(
        velocity=np.clip(mean, *config.velocity_range),
        broadening=np.asarray(found.broadening, float),
    )
    fitted = measure_at(prepared, at, with_model=with_model)
    flags = input_flags(spectra, prepared.data, config)
    columns = build_columns(
        fitted, prepared.geometry, prepared.model, config, prepared.data, start, flags
    )
    columns = _with_posterior(columns, found, config, network.card)
    model = model_flux(fitted, prepared.data, prepared.channels, spectra)
    return FittedBlock(columns, model, _notes(spectra, prepared))


def as_start(found: Answer) -> Start:
    """Start values of a fit."""
    return Start(
        np.asarray(found.best_offset, float),
        np.asarray(found.best_broadening, float),
        np.asarray(found.score),
        np.asarray(found.rival),
    )


def _with_posterior(
    columns: dict[str, np.ndarray], found: Answer, config: FitConfig, card: dict[str, Any]
) -> dict[str, np.ndarray]:
    """The columns with the posterior's kinematics and the network's own flags."""
    flags = columns["flags"].copy()
    empty = (flags & int(Flag.NO_DATA)) != 0
    flags &= ~int(Flag.NOT_CONVERGED | Flag.AMBIGUOUS_VELOCITY | Flag.AT_BOUND | Flag.UNRESOLVED)
    velocity = np.asarray(found.offset, float)
    error = np.asarray(found.offset_err, float)
    if config.velocity_convention == "relativistic":
        doppler = 1.0 + velocity / SPEED_OF_LIGHT_KMS
        velocity = velocity_of(doppler, "relativistic")
        error = error * 4.0 * doppler / (doppler**2 + 1.0) ** 2
    columns = columns | {
        name: np.where(empty, np.nan, values).astype(np.float32)
        for name, values in (
            ("velocity", velocity),
            ("velocity_err", error),
            ("broadening", np.asarray(found.broadening)),
            ("broadening_err", np.asarray(found.broadening_err)),
        )
    }
    detected = (flags & int(Flag.LOW_SNR)) == 0
    ambiguous = (np.asarray(found.lost) > DOUBT) | has_rival(as_start(found))
    unresolved = found.broadening < 2.0 * found.broadening_err
    for flag, where in (
        (Flag.AMBIGUOUS_VELOCITY, ambiguous & detected),
        (Flag.UNRESOLVED, unresolved & detected),
        (Flag.OUT_OF_RANGE, out_of_range(found, card)),
    ):
        flags[np.asarray(where) & ~empty] |= int(flag)
    return columns | {"flags": flags.astype(np.int32)}


def out_of_range(found: Answer, card: dict[str, Any]) -> np.ndarray:
    """(n,) bool: what the network says lies outside the ranges asked for, or what it was shown
    outside of what it was trained on."""
    trained = card["trained_ranges"]
    low, high = trained["line_spread_fwhm_kms"]
    fwhm = np.asarray(found.scale) * SINC_FWHM_PER_WIDTH
    strange = (fwhm < low) | (fwhm > high) | (np.asarray(found.snr) > trained["snr"][1])
    finite = np.isfinite(found.offset) & np.isfinite(found.broadening)
    return strange | ~finite | (np.asarray(found.inside) < OUTSIDE) | (np.asarray(found.edge) > 0.2)


def _notes(spectra: Spectra, prepared: Prepared) -> dict[str, str]:
    config = prepared.config
    return {
        "NOISE": "estimated" if prepared.data.estimated else "file",
        "METHOD": "network",
        "FITPATH": "network kinematics, fluxes by linear least squares",
        "VELCONV": config.velocity_convention,
        "AIRORVAC": "air" if spectra.axis.medium == "air" else "vac",
        "LSFCORR": "yes" if prepared.known else "no: line spread unknown, one channel assumed",
        "LINETIES": config.ties,
        "AMPLITUD": config.amplitudes,
        "FLUXUNIT": spectra.unit,
    }

"""Two components fitted: every line twice, with kinematics of its own for each.

Candidates (the profile fitted by one component split in two, narrowed with a broad foot, or with
a companion on either side) are compared by the chi2 of their linear part alone; the best of each
family is fitted with fluxes that cannot be negative, and the best of those is polished. Component
1 is the brighter one in H-alpha (in a fit without H-alpha: in the line with the largest sum of
both).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nebulines.constants import FWHM_PER_SIGMA
from nebulines.fitting.components.starts import Kinematics, candidates
from nebulines.fitting.config import FitConfig
from nebulines.fitting.direct.linearise import linearise
from nebulines.fitting.direct.problem import DirectProblem, Piece, direct_problem
from nebulines.fitting.direct.solve import fit_tile
from nebulines.fitting.fitted import Fitted, broadening_and_error
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import Geometry, LineModel
from nebulines.fitting.tiles import SMALL_TILE, run_tiles
from nebulines.kept_programs import keep_programs
from nebulines.lines import LineCatalogue

TILE_ROWS = 64
START_STEPS = 6
POLISH_STEPS = 12


class Pairs(NamedTuple):
    """The fit of two components to some spectra, and what it gains.

    Attributes:
        fitted: of the doubled lines, component 1 first.
        gain: (n,) chi2 of one component minus chi2 of two, over the same channels.
    """

    fitted: Fitted
    gain: np.ndarray


def double_model(model: LineModel) -> LineModel:
    """The line model with every line twice: the second half belongs to component 2.

    Example:
        >>> import numpy as np
        >>> from nebulines.lines import load_catalogue
        >>> lines = load_catalogue().select(["HALPHA6563"])
        >>> one = LineModel(lines, "air", np.eye(1), np.zeros(1, int), ((0,),), "gaussian",
        ...                 False, 0, False, True)
        >>> two = double_model(one)
        >>> two.n_groups, two.windows, two.catalogue.names
        (2, ((0, 1),), ('HALPHA6563', 'HALPHA6563'))
    """
    c = model.catalogue
    n_lines = len(c.names)
    empty = np.zeros_like(model.templates)
    return replace(
        model,
        catalogue=LineCatalogue(
            c.names * 2,
            np.tile(c.wavelength_air, 2),
            np.tile(c.wavelength_vacuum, 2),
            c.species * 2,
            c.labels * 2,
            np.tile(c.default, 2),
            c.groups * 2,
        ),
        templates=np.block([[model.templates, empty], [empty, model.templates]]),
        group=np.concatenate([model.group, model.group + model.n_groups]),
        windows=tuple((*w, *(line + n_lines for line in w)) for w in model.windows),
    )


def double_geometry(geometry: Geometry) -> Geometry:
    """The geometry of the doubled lines."""
    return replace(geometry, rest=np.tile(geometry.rest, 2))


_score = keep_programs(static_argnames=("options",))(linearise)


def fit_pairs(
    data: Normalised,
    geometry: Geometry,
    model: LineModel,
    config: FitConfig,
    single: Fitted,
    distant: np.ndarray,
    with_model: bool = True,
) -> Pairs:
    """Fit two components to n spectra.

    Args:
        data, geometry, model, config: as for the direct path, of one component.
        single: the fit of one component.
        distant: (n,) velocity [km/s] of lines left in its residuals, one more start.
        with_model: False leaves the model (n, 0).

    Returns:
        `Pairs` of the n rows.
    """
    one = direct_problem(data, geometry, model, config, with_model=False)
    two = direct_problem(
        data, double_geometry(geometry), double_model(model), config, with_model=with_model
    )
    broadening, _ = broadening_and_error(single)
    lsf = float(np.nanmedian(geometry.fwhm_kms())) / FWHM_PER_SIGMA

    def work(rows: np.ndarray) -> tuple[np.ndarray, ...]:
        velocity = single.velocity[rows]
        alone, both = one.piece(rows, velocity[:, 0]), two.piece(rows, velocity[:, 0])
        chi2 = _score(alone.theta(velocity, broadening[rows]), alone.tile, one.options).chi2
        families = candidates(velocity[:, 0], broadening[rows, 0], np.full(len(rows), lsf))
        away = Kinematics(velocity[:, 0], broadening[rows, 0], distant[rows], broadening[rows, 0])
        theta = _best_start([*families, [away]], both, two)
        fitted = _polish(theta, both, two)
        fitted = fitted._replace(profile=_no_third(fitted.profile))
        return (*_order(fitted, two), np.asarray(chi2) - fitted.chi2)

    n = len(data.data)
    padded = max(n, SMALL_TILE + 1)  # always tiles of one size, which is compiled once
    *parts, gain = run_tiles(lambda rows: work(rows % n), padded, TILE_ROWS)
    return Pairs(Fitted(*(part[:n] for part in parts)), gain[:n])


def _no_third(profile: np.ndarray) -> np.ndarray:
    """The score of one line among its own doubles means nothing: only the variance is kept."""
    return profile * np.array([0.0, 0.0, 0.0, 1.0], profile.dtype)


def _best_start(families: list[list[Kinematics]], piece: Piece, two: DirectProblem) -> np.ndarray:
    """The best of the families' best, each fitted with fluxes that cannot be negative."""
    options = two.options._replace(positive=True)
    ends, chi2 = [], []
    for family in families:
        starts = np.stack([_theta(start, piece) for start in family])
        tried = [fit_tile(theta, piece.tile, options, 1).chi2 for theta in starts]
        first = _pick(starts, np.stack([np.asarray(chi2) for chi2 in tried]))
        solution = fit_tile(first, piece.tile, options, START_STEPS)
        ends.append(np.asarray(solution.theta))
        chi2.append(np.asarray(solution.chi2))
    return _pick(np.stack(ends), np.stack(chi2))


def _pick(choices: np.ndarray, chi2: np.ndarray) -> np.ndarray:
    """Of choices (c, n, ...) the one with the lowest chi2 (c, n) in each row."""
    best = np.argmin(np.where(np.isfinite(chi2), chi2, np.inf), axis=0)
    return choices[best, np.arange(choices.shape[1])]


def _theta(start: Kinematics, piece: Piece) -> np.ndarray:
    v1, s1, v2, s2 = start
    n_groups = piece.tile.group.shape[-1] // 2
    velocity = np.repeat(np.stack([v1, v2], axis=1), n_groups, axis=1)
    return piece.theta(velocity, np.repeat(np.stack([s1, s2], axis=1), n_groups, axis=1))


def _polish(theta: np.ndarray, piece: Piece, two: DirectProblem) -> Fitted:
    """The fit with the amplitudes asked for; where that gives no two real components, with
    fluxes that cannot be negative."""
    safe_options = two.options._replace(positive=True)
    safe = fit_tile(theta, piece.tile, safe_options, POLISH_STEPS)
    result = two.collect(safe, piece)
    if two.options.positive:
        return result
    free = two.collect(fit_tile(safe.theta, piece.tile, two.options, POLISH_STEPS), piece)
    good = np.minimum(*significance(free)) > 0
    return Fitted(*(_choose(good, other, mine) for mine, other in zip(result, free, strict=True)))


def _choose(where: np.ndarray, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    return np.where(where.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)


def significance(fitted: Fitted) -> tuple[np.ndarray, np.ndarray]:
    """(n,) S/N of each component's most significant line, negative for a line in absorption."""
    variance = np.diagonal(fitted.area_covariance, axis1=1, axis2=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = np.where(variance > 0, fitted.area / np.sqrt(variance), 0.0)
    parts = np.split(np.where(np.isfinite(snr), snr, 0.0), 2, axis=1)
    first, second = (
        np.take_along_axis(p, np.argmax(np.abs(p), axis=1)[:, None], axis=1)[:, 0] for p in parts
    )
    return first, second


def _order(fitted: Fitted, two: DirectProblem) -> Fitted:
    """Component 1 first: the brighter one."""
    swap = _second_is_brighter(fitted, two)

    def halves(count: int, repeat: int = 1) -> np.ndarray:
        """(n, repeat * count) indices, each block's halves exchanged where asked."""
        straight = np.arange(count)
        index = np.where(swap[:, None], np.roll(straight, count // 2), straight)
        return np.concatenate([index + block * count for block in range(repeat)], axis=1)

    def by(values: np.ndarray, index: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, index, axis=1)

    def square(values: np.ndarray, index: np.ndarray) -> np.ndarray:
        values = np.take_along_axis(values, index[:, :, None], axis=1)
        return np.take_along_axis(values, index[:, None, :], axis=2)

    groups = halves(fitted.velocity.shape[1])
    templates = halves(fitted.area.shape[1])
    return fitted._replace(
        velocity=by(fitted.velocity, groups),
        y=by(fitted.y, groups),
        theta_covariance=square(fitted.theta_covariance, halves(groups.shape[1], 2)),
        area=by(fitted.area, templates),
        area_covariance=square(fitted.area_covariance, templates),
        coverage=by(fitted.coverage, halves(fitted.coverage.shape[1])),
    )


def _second_is_brighter(fitted: Fitted, two: DirectProblem) -> np.ndarray:
    first, second = np.split(fitted.area @ two.weights, 2, axis=1)
    names = two.model.catalogue.names[: first.shape[1]]
    if "HALPHA6563" in names:
        line = np.full(len(first), names.index("HALPHA6563"))
    else:
        line = np.argmax(first + second, axis=1)
    rows = np.arange(len(first))
    return second[rows, line] > first[rows, line]

"""Whether lines of the arc are where our fit puts them and as wide: what it leaves under them.

Lines of one section of the spectrum share velocity and broadening. If a wavelength of the
catalogue, the medium or the line spread were wrong, the residual under a line would have the shape
of the derivative of its profile by place (an S) or by width (a W). Both are fitted to the residual
of each spectrum, and both are expressed in what they would add to the flux.
"""

from __future__ import annotations

import numpy as np

from benchmarks.reporting import table
from nebulines.constants import SPEED_OF_LIGHT_KMS

REACH = 10.0
"""Of a line's profile [Angstrom]."""
CHECKED = {"Hb": "HBETA4861", "[OIII]5007": "OIII5007", "[OIII]4959": "OIII4959"}
"""Lines of one section, by the names of the tables."""


def profile_checks(
    wave: np.ndarray, flux: np.ndarray, model: np.ndarray, rest: float
) -> dict[str, float]:
    """Medians over n spectra of what a line's own place and width differ by from the shared ones.

    Args:
        wave: (channel,) [Angstrom].
        flux, model: (n, channel) data, and our fit with a straight continuum under the line.
        rest: wavelength of the line.

    Returns:
        Shift [km/s], width [per cent], what both together add to the flux [per cent], their errors.
    """
    near = np.abs(wave - rest) < REACH
    x, here = wave[near] - rest, np.asarray(model[:, near], float)
    fitted = np.isfinite(here).all(axis=1)
    here, left = here[fitted], np.asarray(flux[fitted][:, near], float) - here[fitted]
    rows = [
        _difference(x, line, residual)
        for line, residual in zip(lines_of(here), left, strict=True)
        if line.sum() > 0
    ]
    shift, width, gain = np.array(rows).T
    scores = {"shift": shift / rest * SPEED_OF_LIGHT_KMS, "wider": 100 * width, "more": 100 * gain}
    middle = {name: float(np.median(values)) for name, values in scores.items()}
    return middle | {f"{name} error": _error(values) for name, values in scores.items()}


def lines_of(model: np.ndarray) -> np.ndarray:
    """The lines (n, m) of a model, less the straight line through its ends."""
    along = np.linspace(0.0, 1.0, model.shape[1])
    return np.asarray(model - model[:, :1] * (1.0 - along) - model[:, -1:] * along)


def _difference(x: np.ndarray, line: np.ndarray, left: np.ndarray) -> tuple[float, float, float]:
    """Shift [Angstrom], relative width and relative flux that a residual (m,) under a line (m,)
    asks for, by least squares with a level."""
    share = line / line.sum()
    centre = np.sum(share * x)
    sigma = np.sqrt(np.sum(share * (x - centre) ** 2))
    u = (x - centre) / sigma
    gauss = np.exp(-0.5 * u**2) / np.sqrt(2.0 * np.pi) / sigma
    total = np.sum(line * np.gradient(x))
    shapes = total * np.stack([gauss, gauss * u / sigma, gauss * (u**2 - 1.0), 1.0 / total + 0 * x])
    solution = np.linalg.lstsq(shapes.T, left, rcond=None)[0]
    return float(solution[1]), float(solution[2]), float(solution[0])


def _error(values: np.ndarray) -> float:
    """Of a median, from the scatter."""
    scatter = 1.4826 * np.median(np.abs(values - np.median(values)))
    return float(1.25 * scatter / np.sqrt(len(values)))


def profile_page(scores: dict[str, dict[str, float]], fwhm: dict[str, float]) -> str:
    """The table: shift and width of each line against those that the section shares.

    Args:
        scores: of `profile_checks`, by the names of lines.
        fwhm: of the line spread that the fits took [Angstrom, as observed].
    """
    rows = [
        [
            name,
            f"{fwhm[name]:.3f}",
            *(f"{row[k]:+.1f} +- {row[f'{k} error']:.1f}" for k in ("shift", "wider", "more")),
        ]
        for name, row in scores.items()
    ]
    head = ("line", "FWHM of the instrument [A]", "shift [km/s]", "wider [%]", "flux to add [%]")
    return (
        "Are the lines where the fit puts them, and as wide? What the fit with shared velocity and "
        "broadening leaves under each line of the spectra without the published continuum, as a "
        "shift (an S in the residual), a width (a W) and a flux of its own: medians over the bins. "
        "The line spread is that of the MUSE deep fields, FWHM = 5.866e-8 l^2 - 9.187e-4 l + 6.040 "
        "Angstrom, as observed. A shift of 5 km/s costs 0.1 % of a flux, a width that is wrong by "
        "some per cent half as many per cent of it.\n\n" + table(head, rows)
    )

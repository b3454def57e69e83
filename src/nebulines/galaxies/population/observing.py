"""A population as a survey sees it: redshift, noise, channels that can be used."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import UsageError
from nebulines.galaxies.population.population import Population
from nebulines.galaxies.population.spectra import render
from nebulines.galaxies.population.surveys import Survey, get_survey
from nebulines.spectral_axis import Medium

_REFERENCE = (5300.0, 5700.0)


class Observed(NamedTuple):
    """n galaxies seen by a survey.

    Attributes:
        wavelength: (channel,) observed [Angstrom] in ``medium``.
        medium: ``air`` or ``vacuum``.
        flux: (n, channel) with noise, float32; 0 where not ``usable``.
        sigma: (n, channel) error of each channel.
        clean: (n, channel) without noise.
        usable: (n, channel) bool: the stellar basis reaches the channel.
        redshift: (n,) with which lines and stars were placed.
        snr: (n,) median S/N of a channel from 5300 to 5700 Angstrom.
        scale: (n,) flux of a galaxy of one solar luminosity per Angstrom; line fluxes of the
            population times this are those in the spectra.
    """

    wavelength: np.ndarray
    medium: Medium
    flux: np.ndarray
    sigma: np.ndarray
    clean: np.ndarray
    usable: np.ndarray
    redshift: np.ndarray
    snr: np.ndarray
    scale: np.ndarray


def observe(
    population: Population,
    survey: str | Survey = "desi",
    seed: Any = 0,
    *,
    snr: Any = None,
    redshift: Any = None,
) -> Observed:
    """A population as a survey would see it.

    Args:
        population: n galaxies; its continuum should cover the survey's band at rest.
        survey: one of `survey_names`, or a `Survey`.
        seed: of the noise and of what is drawn; anything that numpy takes.
        snr: median S/N of a channel from 5300 to 5700 Angstrom, () or (n,); None = drawn as the
            survey has it. For the settings at rest it takes the place of their fixed noise.
        redshift: () or (n,); None = uniform in the survey's range (0 for those at rest).

    Returns:
        `Observed`.

    Raises:
        UsageError: an unknown survey, an S/N that is not positive, a redshift that is negative.

    Example:
        >>> from nebulines.galaxies.population.drawing import draw_population
        >>> seen = observe(draw_population(3, seed=1), "uniform-0.04", seed=2)
        >>> seen.flux.shape, np.sqrt((seen.clean**2).sum(axis=1)).round(4).tolist()
        ((3, 825), [1.0, 1.0, 1.0])
    """
    chosen = get_survey(survey) if isinstance(survey, str) else survey
    rng, n = np.random.default_rng(seed), len(population.kind)
    if redshift is None:
        redshift = rng.uniform(*chosen.redshift, n) if chosen.redshift[1] > 0 else 0.0
    z = np.asarray(redshift, float)
    if not np.all(z >= 0) or (snr is not None and not np.all(np.asarray(snr) > 0)):
        raise UsageError("redshifts must be zero or more, S/N positive")
    clean = render(
        population, chosen.wavelength, medium=chosen.medium, redshift=z, fwhm=chosen.fwhm
    )
    usable = np.isfinite(clean)
    clean[~usable] = 0.0
    scale, level = _levels(clean, chosen, snr, rng)
    clean *= scale[:, None].astype(np.float32)
    sigma = level[:, None].astype(np.float32) * chosen.shape.astype(np.float32)
    flux = rng.standard_normal(clean.shape, np.float32)
    flux *= sigma
    flux += clean
    flux[~usable] = 0.0
    near = _near(chosen.wavelength)
    ratio = np.median(clean[:, near] / sigma[:, near], axis=1)
    return Observed(
        chosen.wavelength,
        chosen.medium,
        flux,
        sigma,
        clean,
        usable,
        np.broadcast_to(z, n),
        ratio,
        scale,
    )


def _levels(
    light: np.ndarray, survey: Survey, snr: Any, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scale (n,) of the light and error (n,) at the reference."""
    n = len(light)
    middle = np.median(light[:, _near(survey.wavelength)], axis=1)
    if survey.sigma is not None:
        scale = 1.0 / np.sqrt(np.einsum("nc,nc->n", light, light, dtype=float))
        if snr is None:
            return scale, np.full(n, survey.sigma / survey.shape.max())
        return scale, middle * scale / np.broadcast_to(np.asarray(snr, float), n)
    assert survey.snr is not None
    if snr is None:
        snr = survey.snr[0] * 10.0 ** rng.normal(0.0, survey.snr[1], n)
    level = np.full(n, survey.level)
    return level * np.broadcast_to(np.asarray(snr, float), n) / middle, level


def _near(wavelength: np.ndarray) -> np.ndarray:
    """Channels that S/N is told from."""
    return (wavelength > _REFERENCE[0]) & (wavelength < _REFERENCE[1])

"""Painting for models of stellar populations that give luminosities per frequency, as DSPS does.

L_lambda = L_nu c / lambda^2. Everything is JAX, so that a model and its lines can be compiled,
vectorised over and differentiated together. Equivalent widths need only the mean fluxes in a few
bins, which are linear in the templates: with templates binned once (`binned_templates`) a model
gives the widths of a galaxy in about a quarter of the time that its whole spectrum takes, and the
weights of the whole templates (`whole_sed`).

Source of DSPS: Hearin et al. 2023, MNRAS 521, 1741.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.errors import InputError
from nebulines.galaxies.widths.bins import BIN_EDGES, bin_weights, require_coverage
from nebulines.galaxies.widths.painter import BROADENING_KMS, Painted, Painter
from nebulines.galaxies.widths.width_mixture import Widths
from nebulines.instruments.line_spread import LineSpread

_HERTZ_ANGSTROM = 1e13 * SPEED_OF_LIGHT_KMS  # c in Angstrom per second
_MARGIN = 60.0
_SOLAR = 0.02


class SedTemplates(NamedTuple):
    """Single stellar populations in the format of DSPS.

    Attributes:
        ssp_lgmet: (metallicity,) log10 of the mass fraction of metals.
        ssp_lg_age_gyr: (age,) log10 of the age in 1e9 years.
        ssp_wave: (channel,) [Angstrom, vacuum].
        ssp_flux: (metallicity, age, channel) [L_sun / Hz / M_sun].
    """

    ssp_lgmet: np.ndarray
    ssp_lg_age_gyr: np.ndarray
    ssp_wave: np.ndarray
    ssp_flux: np.ndarray


def ssp_templates(*, every: int = 1) -> SedTemplates:
    """The package's own stellar populations in the format of DSPS: nine ages, six metallicities,
    3300 to 9300 Angstrom, R about 1400.

    Args:
        every: channels to average into one; 1 keeps the grid of 1e-4 in log10 wavelength.

    Returns:
        `SedTemplates`; a finer grid of ages, as FSPS makes it, is read by
        ``dsps.load_ssp_templates`` and serves everywhere in its place.

    Example:
        >>> ssp = ssp_templates(every=10)
        >>> ssp.ssp_flux.shape
        (6, 9, 450)
    """
    from nebulines.galaxies.starlight.basis import load_starlight
    from nebulines.spectral_axis import air_to_vacuum

    light = load_starlight()
    n = light.flux.shape[1] // every * every
    wave = air_to_vacuum(np.asarray(light.wavelength_air[:n], float))
    flux = np.asarray(light.flux[:, :n], float)
    wave, flux = wave.reshape(-1, every).mean(axis=1), flux.reshape(len(flux), -1, every).mean(-1)
    ages, place = np.unique(light.log_age, return_inverse=True)
    metals, row = np.unique(light.metallicity, return_inverse=True)
    cube = np.zeros((len(metals), len(ages), len(wave)))
    cube[row, place] = flux / frequency_factor(wave)
    return SedTemplates(metals + np.log10(_SOLAR), ages - 9.0, wave, cube)


def frequency_factor(wavelength: Any) -> Any:
    """Hertz per Angstrom, c / lambda^2: a density per Hertz times this is one per Angstrom.

    Args:
        wavelength: [Angstrom].

    Example:
        >>> f"{frequency_factor(5000.0):.4g}"
        '1.199e+11'
    """
    return _HERTZ_ANGSTROM / wavelength**2


def binned_templates(ssp: Any, edges: Any = BIN_EDGES) -> SedTemplates:
    """Templates averaged per Angstrom in the bins of a network.

    Given to DSPS in place of the whole ones, what comes out as ``rest_sed`` is the mean
    L_lambda in each bin; the ``features`` of a network take it as it is.

    Args:
        ssp: `SedTemplates`, or what ``dsps.load_ssp_templates`` returns.
        edges: ``network.edges`` [Angstrom, vacuum].

    Raises:
        InputError: templates that do not cover 3400 to 7000 Angstrom.

    Example:
        >>> binned_templates(ssp_templates(every=10)).ssp_flux.shape
        (6, 9, 12)
    """
    wave = np.asarray(ssp.ssp_wave, float)
    require_coverage(wave)
    per_angstrom = np.asarray(ssp.ssp_flux) * frequency_factor(wave)
    middle = 0.5 * (np.asarray(edges)[1:] + np.asarray(edges)[:-1])
    flux = per_angstrom @ bin_weights(wave, edges)
    return SedTemplates(np.asarray(ssp.ssp_lgmet), np.asarray(ssp.ssp_lg_age_gyr), middle, flux)


def whole_sed(made: Any, binned: SedTemplates, ssp: Any) -> Array:
    """The spectrum of a galaxy that DSPS was asked for on binned templates.

    L_nu = M sum_k w_k L_k, with the weights w of DSPS and the mass M that its binned answer has:
    one product of a row and a matrix, which a Jacobian takes several times faster than a sum over
    templates, channel by channel.

    Args:
        made: with ``rest_sed`` (k,) and ``weights`` (metallicity, age), as
            ``dsps.calc_rest_sed_sfh_table_lognormal_mdf`` returns for ``binned``.
        binned: of `binned_templates`.
        ssp: the whole templates, of which ``binned`` were made.

    Returns:
        (channel,) [L_sun / Hz].

    Example:
        >>> ssp, weights = ssp_templates(every=10), np.full((6, 9), 1.0 / 54.0)
        >>> binned = binned_templates(ssp)
        >>> class Made(NamedTuple):
        ...     rest_sed: np.ndarray
        ...     weights: np.ndarray
        >>> made = Made(2.0 * np.tensordot(weights, binned.ssp_flux, 2), weights)
        >>> bool(np.allclose(whole_sed(made, binned, ssp), 2.0 * ssp.ssp_flux.mean(axis=(0, 1))))
        True
    """
    weights = jnp.reshape(jnp.asarray(made.weights), (1, -1))
    small, whole = (np.reshape(one.ssp_flux, (weights.size, -1)) for one in (binned, ssp))
    mass = jnp.sum(made.rest_sed) / jnp.sum(weights @ small)
    return (weights @ whole)[0] * mass


class SedPainter(eqx.Module):
    """Paints lines on rest-frame spectra per frequency; pure JAX when called.

    Args (of the constructor):
        wavelength: (channel,) increasing [Angstrom, vacuum, rest frame], any range that holds
            3400 to 7000.
        network: of `load_predictor`; None = the package's.
        resolution: R of a Gaussian line spread; None = none.
        oii_ratio: [O II] 3729 / 3726; None = 1.35.

    Raises:
        InputError: wavelengths that are not one axis, or do not cover 3400 to 7000.

    Example:
        >>> paint = SedPainter(np.arange(3000.0, 9000.0, 5.0))
        >>> paint(np.ones((2, 1200))).flux.shape
        (2, 1200)
    """

    painter: Painter
    factor: Array
    first: int = eqx.field(static=True)
    last: int = eqx.field(static=True)

    def __init__(
        self,
        wavelength: Any,
        network: Any = None,
        *,
        resolution: float | None = None,
        oii_ratio: float | None = None,
    ):
        from nebulines.galaxies.widths.predictors import default_predictor

        wavelength = np.asarray(wavelength, float)
        if wavelength.ndim != 1:
            raise InputError(f"expected one axis, wavelengths (channel,), not {wavelength.shape}")
        require_coverage(wavelength)
        inside = (wavelength > BIN_EDGES[0] - _MARGIN) & (wavelength < BIN_EDGES[-1] + _MARGIN)
        self.first, self.last = int(np.argmax(inside)), int(len(inside) - np.argmax(inside[::-1]))
        spread = None if resolution is None else LineSpread("gaussian", resolution=resolution)
        self.painter = Painter(
            wavelength[self.first : self.last],
            default_predictor().network if network is None else network,
            line_spread=spread,
            oii_ratio=oii_ratio,
        )
        scale = frequency_factor(wavelength[self.first : self.last])
        self.factor = jnp.asarray(scale / frequency_factor(5500.0))

    def widths(self, sed: Any) -> Widths:
        """Predicted distribution of the equivalent widths of spectra (n, channel) or (channel,)."""
        sed = jnp.atleast_2d(jnp.asarray(sed))
        return self.painter.widths(sed[:, self.first : self.last] * self.factor)

    def __call__(
        self, sed: Any, *, broadening_kms: Any = BROADENING_KMS, key: Array | None = None
    ) -> Painted:
        """Add lines.

        Args:
            sed: (n, channel) or (channel,) luminosity per frequency, any unit.
            broadening_kms: () or (n,) 1-sigma velocity dispersion of the gas.
            key: of random draws of the widths; None = their medians.

        Returns:
            `Painted`: ``flux`` as the input, with lines; ``line_flux`` in its unit times Hertz.
        """
        one = jnp.ndim(sed) == 1
        sed = jnp.atleast_2d(jnp.asarray(sed))
        inside = sed[:, self.first : self.last] * self.factor
        painted = self.painter(inside, broadening_kms=broadening_kms, key=key)
        parts = (sed[:, : self.first], painted.flux / self.factor, sed[:, self.last :])
        flux = jnp.concatenate(parts, axis=1)
        line_flux = painted.line_flux * frequency_factor(5500.0)
        painted = painted._replace(flux=flux, line_flux=line_flux)
        return Painted(*(part[0] for part in painted)) if one else painted

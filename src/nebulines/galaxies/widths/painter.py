"""Emission lines painted on stellar continua: predicted widths, made into line profiles.

The flux of a line is its equivalent width times the continuum at the line, the mean of the
continuum 20 to 50 Angstrom away on both sides (stellar absorption under a line is left out). Lines
are Gaussians, the sum in quadrature of velocity dispersion and line spread, integrated over each
channel, so that flux is conserved on any grid.

Source of the idea: Khederlarian et al. 2024, MNRAS 531, 1454.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.galaxies.widths.bins import (
    LEAST_COVERAGE,
    bin_flux,
    bin_weights,
    colours,
    filled,
    require_coverage,
    twelve_of,
)
from nebulines.galaxies.widths.equivalent_widths import LINES, painted_lines, shares
from nebulines.galaxies.widths.line_masks import LineMask, line_mask, line_windows, replace_lines
from nebulines.galaxies.widths.profiles import LineProfiles
from nebulines.galaxies.widths.width_mixture import Widths, widened
from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import load_catalogue
from nebulines.spectra.flags import Flag
from nebulines.spectral_axis import Medium, air_to_vacuum

if TYPE_CHECKING:
    from astropy.table import Table

BROADENING_KMS = 100.0
"""Default 1-sigma velocity dispersion of the gas."""
SIDES = (20.0, 50.0)
"""Distances from a line [Angstrom] between which its continuum is measured, on both sides."""
_COMPLETE = 0.9999


class Painted(NamedTuple):
    """n continua with their lines.

    Attributes:
        flux: (n, channel) continuum and lines, unit of the continuum.
        ew, ew_err: (n, 10) equivalent widths [Angstrom] in the order of `LINES`, and half of
            their 16 to 84 % intervals.
        line_flux: (n, 10) flux density times Angstrom.
        flags: (n,) bits of `Flag`; 0 is good.
        colours: (n, 11) [dex].
    """

    flux: Any
    ew: Any
    ew_err: Any
    line_flux: Any
    flags: Any
    colours: Any

    def table(self) -> Table:
        """Astropy table: ``EW_NAME`` and ``EW_NAME_err`` [Angstrom] for each line, ``flags``.

        Example:
            >>> zero = np.zeros((1, 10))
            >>> painted = Painted(np.zeros((1, 5)), zero, zero, zero, np.zeros(1, int), None)
            >>> painted.table().colnames[:2]
            ['EW_OII3727', 'EW_OII3727_err']
        """
        from astropy.table import Table

        table = Table(meta={"EWSIGN": "positive in emission", "EWFRAME": "rest"})
        for k, name in enumerate(LINES):
            table[f"EW_{name}"] = np.asarray(self.ew[:, k], float)
            table[f"EW_{name}_err"] = np.asarray(self.ew_err[:, k], float)
        for column in table.columns.values():
            column.unit = "Angstrom"
        table["flags"] = np.asarray(self.flags, np.int32)
        return table


class Shape(NamedTuple):
    """What is measured of n continua before anything is predicted.

    Attributes:
        colours: (n, 11) [dex]; NaN beside a bin that is not usable.
        inputs: (n, k) of the network; those of a flat continuum where ``bad``.
        coverage: (n, 12) share of each wide bin that usable channels cover.
        bad: (n,) no prediction is possible.
    """

    colours: Array
    inputs: Array
    coverage: Array
    bad: Array


class Painter(eqx.Module):
    """Everything that an axis and a network fix, ready for any number of continua.

    Calling it is pure JAX: it may be compiled, vectorised over, and differentiated.

    Args (of the constructor):
        wavelength: (channel,) or (n, channel) rest frame, increasing [Angstrom].
        network: with ``predict`` and ``support``, from `load_predictor`.
        medium: of the wavelengths, ``air`` or ``vacuum``.
        line_spread: Gaussian response of the instrument, in the rest frame; None = none.
        oii_ratio: [O II] 3729 / 3726; None = 1.35.
        mask_kms: half width of the windows in which emission lines of the input are replaced
            before binning; None = the input holds stars alone.
        model_scatter: of asinh EW, added to that of the network: galaxies are not all like those
            that it learned from.

    Raises:
        InputError: the axis does not cover 3400 to 7000 Angstrom.
        UsageError: a sinc line spread.
    """

    network: Any
    weights: Array
    sides: Array
    shares: Array
    profiles: LineProfiles
    mask: LineMask | None
    model_scatter: float = eqx.field(static=True)

    def __init__(
        self,
        wavelength: Any,
        network: Any,
        *,
        medium: Medium = "vacuum",
        line_spread: LineSpread | None = None,
        oii_ratio: float | None = None,
        mask_kms: float | None = None,
        model_scatter: float = 0.0,
    ):
        wavelength = np.asarray(wavelength, float)
        vacuum = air_to_vacuum(wavelength) if medium == "air" else wavelength
        require_coverage(vacuum)
        rest = load_catalogue().select(painted_lines()).wavelength(medium)
        self.network = network
        self.weights = jnp.asarray(bin_weights(vacuum, network.edges))
        self.sides = jnp.asarray(_side_weights(wavelength, rest))
        self.shares = jnp.asarray(shares(oii_ratio))
        self.profiles = LineProfiles(wavelength, rest, line_spread)
        self.mask, self.model_scatter = None, float(model_scatter)
        if mask_kms is not None:
            self.mask = line_mask(wavelength, line_windows(mask_kms, medium))

    def shape(self, flux: Any, usable: Any = None) -> Shape:
        """What the network sees of continua (n, channel)."""
        flux = jnp.asarray(flux)
        stars = flux if self.mask is None else replace_lines(flux, self.mask)
        binned = bin_flux(stars, self.weights, usable)
        twelve = twelve_of(binned)
        colour = colours(jnp.where(twelve.coverage >= LEAST_COVERAGE, twelve.flux, 0.0))
        bad = ~jnp.isfinite(colour).all(axis=-1)
        level = jnp.where(bad[:, None], 1.0, filled(binned, twelve))
        return Shape(colour, self.network.features(level), twelve.coverage, bad)

    def widths(self, flux: Any, usable: Any = None) -> Widths:
        """Predicted distribution of the equivalent widths of continua (n, channel)."""
        return self._predicted(self.shape(flux, usable))

    def _predicted(self, shape: Shape) -> Widths:
        predicted: Widths = self.network.predict(shape.inputs)
        return widened(predicted, self.model_scatter) if self.model_scatter else predicted

    def __call__(
        self,
        flux: Any,
        *,
        broadening_kms: Any = BROADENING_KMS,
        key: Array | None = None,
        usable: Any = None,
    ) -> Painted:
        """Paint lines on continua.

        Args:
            flux: (n, channel) per Angstrom, rest frame.
            broadening_kms: () or (n,) 1-sigma velocity dispersion of the gas.
            key: of random draws of the widths; None = their medians.
            usable: (n, channel) bool; None = every finite channel.

        Returns:
            `Painted`.
        """
        flux = jnp.asarray(flux)
        shape = self.shape(flux, usable)
        bad = shape.bad
        predicted = self._predicted(shape)
        ew = predicted.ew() if key is None else predicted.draw(key)
        continuum = bin_flux(flux, self.sides, usable).flux
        lines = (ew @ self.shares.astype(ew.dtype)) * continuum
        painted = flux + self.profiles(jnp.where(bad[:, None], 0.0, lines), broadening_kms)
        ew, err = (jnp.where(bad[:, None], jnp.nan, part) for part in (ew, predicted.ew_err()))
        fluxes = jnp.where(bad[:, None], jnp.nan, lines @ (self.shares.T > 0).astype(lines.dtype))
        return Painted(painted, ew, err, fluxes, self._flags(shape, predicted.ew()), shape.colours)

    def line_spectrum(self, fluxes: Any, broadening_kms: Any = BROADENING_KMS) -> Array:
        """Spectra (n, channel) of lines of given fluxes (n, 11), each integrated over channels.

        Args:
            fluxes: (n, 11) in the order of the painted lines, flux density times Angstrom.
            broadening_kms: () or (n,).
        """
        return self.profiles(fluxes, broadening_kms)

    def _flags(self, shape: Shape, ew: Array) -> Array:
        outside = ~shape.bad & self.network.support.outside(shape.colours, ew)
        partial = (shape.coverage < _COMPLETE).any(axis=-1)
        return (
            jnp.where(shape.bad, int(Flag.NO_DATA), 0)
            | jnp.where(outside, int(Flag.OUT_OF_RANGE), 0)
            | jnp.where(partial, int(Flag.MASKED_CHANNELS), 0)
        )


def _side_weights(wavelength: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(..., channel, 11): mean of the continuum on both sides of each line."""
    near, far = SIDES
    both = []
    for centre in rest:
        edges = np.array([centre - far, centre - near, centre + near, centre + far])
        both.append(bin_weights(wavelength, edges)[..., [0, 2]].mean(axis=-1))
    return np.stack(both, axis=-1)

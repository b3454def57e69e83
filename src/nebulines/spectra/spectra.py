"""A set of spectra with everything a fit needs to know about them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nebulines.errors import InputError
from nebulines.instruments.line_spread import LineSpread
from nebulines.quantities import bare, fits_unit, unit_text
from nebulines.spectra.lazy import LazyArray
from nebulines.spectral_axis import SpectralAxis


@dataclass(frozen=True)
class Spectra:
    """n spectra on one or n axes.

    Attributes:
        flux: (n, channel), in ``unit`` (a flux density per Angstrom where it is calibrated).
        axis: the channels, increasing (see `SpectralAxis`).
        variance: (n, channel) or None when the file gives no noise.
        mask: (n, channel) bool, True = do not use; or None.
        line_spread: instrument response, or None when unknown.
        redshift: (n,) or None.
        instrument: name of the instrument row, or None.
        unit: FITS unit string of ``flux``; that of ``flux`` where it is a quantity.
        meta: whatever a header should carry on: ``SPECSYS``, ``source``, ``OBJECT`` ...

    ``flux``, ``variance`` and ``mask`` of a large file may be `LazyArray`: slices of the set
    (``spectra[1000:2000]``) then read only their own rows, into plain arrays.

    Example:
        >>> axis = SpectralAxis(np.linspace(6500.0, 6600.0, 101), "wavelength", "air")
        >>> spectra = Spectra(np.ones((3, 101)), axis)
        >>> len(spectra), spectra[1:].flux.shape
        (3, (2, 101))
    """

    flux: np.ndarray
    axis: SpectralAxis
    variance: np.ndarray | None = None
    mask: np.ndarray | None = None
    line_spread: LineSpread | None = None
    redshift: np.ndarray | None = None
    instrument: str | None = None
    unit: str = ""
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._drop_units()
        flux = _as_array(self.flux)
        if flux.ndim == 1:
            flux = flux[None, :]
        if flux.ndim != 2 or flux.shape[1] != self.axis.n_channels:
            raise InputError(
                f"flux must have shape (n, channel) with {self.axis.n_channels} channels, "
                f"got {flux.shape}"
            )
        object.__setattr__(self, "flux", flux)
        for name in ("variance", "mask"):
            value = getattr(self, name)
            if value is not None:
                value = _as_array(value)
                if value.ndim == 1:
                    value = value[None, :]
                if value.shape != flux.shape:
                    raise InputError(
                        f"{name} must have the shape of flux {flux.shape}, got {value.shape}"
                    )
                object.__setattr__(self, name, value)
        self._check_kinds()
        if self.redshift is not None:
            redshift = np.asarray(self.redshift, float)
            if redshift.size not in (1, len(flux)):
                raise InputError(
                    f"redshift must be one number or one for each of {len(flux)} spectra, "
                    f"got {redshift.size}"
                )
            redshift = np.broadcast_to(redshift.reshape(-1), (len(flux),))
            object.__setattr__(self, "redshift", redshift)

    def _drop_units(self) -> None:
        """Quantities as bare arrays in ``unit``."""
        own: Any = self.flux
        if not self.unit and hasattr(own, "to_value"):
            object.__setattr__(self, "unit", unit_text(own.unit))
        for name, power in (("flux", 1), ("variance", 2)):
            value = getattr(self, name)
            if hasattr(value, "to_value"):
                object.__setattr__(
                    self, name, bare(value, fits_unit(self.unit) ** power, name=name)
                )

    def _check_kinds(self) -> None:
        """Numbers must be real, and a line spread that differs from row to row have all rows."""
        for name in ("flux", "variance"):
            value = getattr(self, name)
            if value is not None and value.dtype.kind not in "fiub":
                raise InputError(f"{name} must be real numbers, not {value.dtype}")
        spread = self.line_spread
        for name in ("resolution", "fwhm_cm1"):
            value = getattr(spread, name, None)
            if value is not None and np.size(value) not in (1, len(self.flux)):
                raise InputError(
                    f"{name} must be one number or one for each of {len(self.flux)} spectra, "
                    f"got {np.size(value)}"
                )

    def __len__(self) -> int:
        return self.flux.shape[0]

    def __getitem__(self, index: Any) -> Spectra:
        """A subset: an integer (kept as a set of one), a slice, an index or boolean array."""
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"there is no spectrum {index}; the set has {len(self)}")
            index = slice(index, index + 1 or None)
        return replace(
            self,
            flux=self.flux[index],
            axis=self.axis.rows(index),
            variance=None if self.variance is None else self.variance[index],
            mask=None if self.mask is None else self.mask[index],
            line_spread=None if self.line_spread is None else self.line_spread.rows(index),
            redshift=None if self.redshift is None else self.redshift[index],
        )


def _as_array(value: Any) -> Any:
    """An array; one that stays on disk until it is sliced is kept as it is."""
    return value if isinstance(value, LazyArray) else np.asarray(value)

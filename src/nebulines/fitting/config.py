"""What to fit and how: one frozen record, saved beside every result."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nebulines.errors import UsageError
from nebulines.spectral_axis import VelocityConvention

Amplitudes = Literal["free", "tied", "positive"]
ContinuumScope = Literal["auto", "band", "window", "stellar"]
Noise = Literal["auto", "file", "estimate"]
Shape = Literal["auto", "gaussian", "sinc", "sincgauss"]


@dataclass(frozen=True)
class FitConfig:
    """Options of `nebulines.fit`; every default is what an observer would choose.

    Attributes:
        lines: names from the catalogue; None = its default lines that fall in the band.
        catalogue: file with more lines (name, wavelength_air), or None.
        redshift: None = from the data (0 when they give none), a number, or ``auto`` (comb
            of lines).
        velocity_range: (low, high) [km/s] searched around the redshift.
        broadening_range: (low, high) [km/s], intrinsic 1-sigma.
        ties: which lines share velocity and broadening: ``all``, or groups separated by
            semicolons (``HALPHA6563,HBETA4861;OIII5007,OIII4959``; lines not named form one
            more group).
        amplitudes: ``free``; ``tied`` (ratios fixed by theory); ``positive`` (tied and >= 0).
        continuum: ``band`` (one polynomial), ``window`` (one per window of lines), ``auto``
            (stellar for a galaxy survey, else band for a sinc instrument, else window), ``stellar``
            (stellar templates below the lines).
        templates: stellar templates: None = the package's own, or what
            `nebulines.galaxies.starlight.template_sources.load_templates` takes.
        continuum_order: polynomial order; None = 0 for a sinc instrument, 1 otherwise.
        noise: ``file``, ``estimate`` (line-free residuals), ``auto`` (file when it has one).
        shape: ``auto`` from the instrument, or ``gaussian``, ``sinc``, ``sincgauss``.
        resolution: R that replaces the file's or the instrument's.
        velocity_convention: ``optical`` or ``relativistic``.
        components: velocity components, 1, 2, or ``auto`` (two where the data ask for them).
        detection: S/N of a line that counts as detected.
        reddening: law of extinction (``CCM89`` ...) that links the hydrogen lines to their
            case-B ratios, with E(B-V) fitted; ``none`` leaves them free.

    Example:
        >>> FitConfig(velocity_range=(-300.0, 300.0)).amplitudes
        'free'
    """

    lines: tuple[str, ...] | None = None
    catalogue: str | None = None
    redshift: float | Literal["auto"] | None = None
    velocity_range: tuple[float, float] = (-1000.0, 1000.0)
    broadening_range: tuple[float, float] = (0.0, 500.0)
    ties: str = "all"
    amplitudes: Amplitudes = "free"
    continuum: ContinuumScope = "auto"
    templates: str | None = None
    continuum_order: int | None = None
    noise: Noise = "auto"
    shape: Shape = "auto"
    resolution: float | None = None
    velocity_convention: VelocityConvention = "optical"
    components: int | Literal["auto"] = 1
    detection: float = 3.0
    reddening: str = "none"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
                object.__setattr__(self, field.name, value.item())
        for name in ("velocity_range", "broadening_range"):
            low, high = (float(x) for x in getattr(self, name))
            if not (np.isfinite([low, high]).all() and low < high):
                raise UsageError(
                    f"{name} must be two finite numbers [km/s], low below high; got {low}, {high}"
                )
            object.__setattr__(self, name, (low, high))
        if self.broadening_range[0] < 0:
            raise UsageError("broadening_range cannot start below 0 km/s")
        if isinstance(self.lines, str):
            raise UsageError("lines must be a sequence of names, not one string")
        if self.lines is not None:
            object.__setattr__(self, "lines", tuple(self.lines))
            if not self.lines:
                raise UsageError("lines is empty: name at least one line, or leave it out")
        words = isinstance(self.redshift, str) and self.redshift != "auto"
        if words or not isinstance(self.redshift, str | int | float | None):
            raise UsageError(f"redshift must be a number or 'auto', not {self.redshift!r}")
        if isinstance(self.redshift, int | float) and not -0.1 < self.redshift < 20:
            raise UsageError(f"redshift must lie between -0.1 and 20, not {self.redshift}")
        if self.continuum_order is not None and not 0 <= self.continuum_order <= 5:
            raise UsageError(f"continuum_order must be 0 to 5, not {self.continuum_order}")
        if self.resolution is not None and not self.resolution > 0:
            raise UsageError(f"resolution must be positive, not {self.resolution}")
        if self.components not in (1, 2, "auto"):
            raise UsageError(f"components must be 1, 2 or 'auto', not {self.components!r}")
        if not self.detection > 0:
            raise UsageError(f"detection must be a positive S/N, not {self.detection}")
        if self.reddening != "none":
            from nebulines.models.dust import extinction

            extinction(5500.0, self.reddening)
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(
                    f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}"
                )

    @classmethod
    def from_toml(cls, path: str | Path, **overrides: Any) -> FitConfig:
        """Read options from the ``[fit]`` table of a TOML file; an unknown key is an error."""
        try:
            with open(path, "rb") as stream:
                table = tomllib.load(stream).get("fit", {})
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"cannot read the configuration {path}: {error}") from error
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(table) - known)
        if unknown:
            raise UsageError(
                f"{path}: unknown key(s) {', '.join(unknown)} in [fit]; "
                f"known: {', '.join(sorted(known))}"
            )
        table = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
        return cls(**{**table, **overrides})

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, TOML and FITS headers."""
        return dataclasses.asdict(self)


_CHOICES: dict[str, tuple[str, ...]] = {
    "amplitudes": ("free", "tied", "positive"),
    "continuum": ("auto", "band", "window", "stellar"),
    "noise": ("auto", "file", "estimate"),
    "shape": ("auto", "gaussian", "sinc", "sincgauss"),
    "velocity_convention": ("optical", "relativistic"),
}

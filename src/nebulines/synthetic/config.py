"""What to simulate: one frozen record, read from a file or given as keywords."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.quantities import bare_range
from nebulines.spectral_axis import VelocityConvention
from nebulines.synthetic.priors import Range, check_range

GALAXIES = "galaxies-"
"""How names of mock galaxies begin; the name of a survey follows."""
ContinuumShape = Literal["flat", "polynomial", "stellar"]
Components = Literal[1, 2, "mixed"]

_UNITS = dict.fromkeys(("velocity", "broadening", "separation", "broadening_2"), "km/s") | {
    "ebv": "mag",
    "band": "Angstrom",
}
# ranges and how they may start: (least value, whether that value itself is allowed)
_RANGES: dict[str, tuple[float, bool]] = {
    "velocity": (-SPEED_OF_LIGHT_KMS, False),
    "broadening": (0.0, True),
    "snr": (0.0, False),
    "continuum": (-np.inf, True),
    "ebv": (0.0, True),
    "separation": (0.0, True),
    "broadening_2": (0.0, True),
    "flux_ratio": (0.0, False),
    "resolution": (0.0, False),
    "band": (0.0, False),
}


@dataclass(frozen=True)
class SimulationConfig:
    """Options of `nebulines.simulate`. Every range is (low, high), drawn uniformly.

    Attributes:
        lines: names; None = the default lines of the catalogue inside the band.
        prior: where line ratios come from: a name of `line_priors.prior_names`
            (``uniform`` = independent ranges), or the path of a table with a column a line.
        ratios: {name: (low, high)} in place of the prior's, see `priors.draw_fluxes`.
        velocity: [km/s] around the redshift.
        broadening: intrinsic 1-sigma [km/s], >= 0; None = the prior's own, else (10, 50).
        snr: peak over noise.
        resolution: R, a range or one number; None = the range of `priors.RESOLUTION_RANGES`,
            else the instrument's own line spread.
        continuum: level at the reference line, in units of the line's peak.
        continuum_shape: ``flat``, ``polynomial`` or ``stellar``, see `continua`.
        ebv: colour excess E(B-V) [mag] that reddens the lines, at rest wavelength.
        extinction: law, see `nebulines.models.extinction_laws`.
        rv: R_V; None = the law's usual value.
        components: velocity components, 1, 2, or ``mixed`` (half of the spectra with two).
        separation: distance of the second component [km/s], to either side.
        broadening_2: of the second component [km/s]; None = as ``broadening``.
        flux_ratio: H-alpha flux of the second component over that of the first.
        noise: a name or several of `noise.noise_kinds`.
        redshift: of every source.
        band: (low, high) observed wavelengths [Angstrom]: a part of a dispersive band.
        n_steps: of SITELLE's scan, which sets the number of channels; None = the instrument's.
            For a resolution far from the nominal one, scale it alike: the channels of a real
            scan follow its resolution.
        correction: SITELLE's 1 / cos(theta), one number or (n,); None = the instrument's.
        convention: ``optical`` or ``relativistic`` velocity.

    Example:
        >>> SimulationConfig(snr=(10, 20)).snr
        (10.0, 20.0)
    """

    lines: tuple[str, ...] | None = None
    prior: str = "uniform"
    ratios: Mapping[str, Range] | None = None
    velocity: Range = (-200.0, 200.0)
    broadening: Range | None = None
    snr: Range = (5.0, 30.0)
    resolution: Range | float | None = None
    continuum: Range = (0.0, 0.0)
    continuum_shape: ContinuumShape = "flat"
    ebv: Range = (0.0, 0.0)
    extinction: str = "CCM89"
    rv: float | None = None
    components: Components = 1
    separation: Range = (30.0, 200.0)
    broadening_2: Range | None = None
    flux_ratio: Range = (0.1, 1.0)
    noise: tuple[str, ...] = ("white",)
    redshift: float = 0.0
    band: Range | None = None
    n_steps: int | None = None
    correction: Any = None
    convention: VelocityConvention = "optical"

    def __post_init__(self) -> None:
        for name, (least, included) in _RANGES.items():
            value = getattr(self, name)
            if name == "resolution" and value is not None and np.ndim(value) == 0:
                value = (value, value)
            if value is not None:
                value = bare_range(value, _UNITS.get(name, ""), name=name)
                limits = check_range(value, name=name, least=least, zero=included)
                object.__setattr__(self, name, limits)
        self._check_texts()
        if self.components not in (1, 2, "mixed"):
            raise UsageError(f"components must be 1, 2 or 'mixed', not {self.components!r}")
        if not -0.1 < float(self.redshift) < 20:
            raise UsageError(f"redshift must lie between -0.1 and 20, not {self.redshift}")

    def _check_texts(self) -> None:
        from nebulines.models.dust import extinction
        from nebulines.synthetic.continua import CONTINUA
        from nebulines.synthetic.noise import check_noise

        if isinstance(self.lines, str):
            raise UsageError("lines must be a sequence of names, not one string")
        if self.lines is not None:
            object.__setattr__(self, "lines", tuple(self.lines))
        object.__setattr__(self, "noise", check_noise(self.noise))
        object.__setattr__(self, "prior", str(self.prior))
        if self.continuum_shape not in CONTINUA:
            raise UsageError(
                f"continuum_shape must be one of {', '.join(CONTINUA)}; "
                f"got {self.continuum_shape!r}"
            )
        extinction(5500.0, self.extinction, rv=self.rv)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> SimulationConfig:
        """From keywords; an unknown one is an error that names the known ones.

        Example:
            >>> SimulationConfig.of({"components": 2}).components
            2
        """
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := sorted(set(options) - set(known)):
            raise UsageError(
                f"unknown option(s) {', '.join(unknown)} of a simulation; known: {', '.join(known)}"
            )
        return cls(**options)

    @classmethod
    def from_toml(cls, path: str | Path, **overrides: Any) -> SimulationConfig:
        """Read options from the ``[simulate]`` table of a TOML file; keywords override it.

        Raises:
            UsageError: the file cannot be read, or holds an unknown key.
        """
        try:
            tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"cannot read the configuration {path}: {error}") from error
        if unknown := sorted({*tables} - {"simulate"}):
            raise UsageError(f"{path}: unknown {', '.join(unknown)}; expected a table [simulate]")
        table = tables.get("simulate", {})
        table = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
        try:
            return cls.of({**table, **overrides})
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error

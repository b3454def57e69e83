"""Sources drawn at random: kinematics, line fluxes, dust, continuum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.instruments import Instrument
from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import LineCatalogue
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.continua import CONTINUA
from nebulines.synthetic.line_priors import draw_lines, prior_broadening
from nebulines.synthetic.priors import RESOLUTION_RANGES, Range, uniform
from nebulines.synthetic.rendering import Kinematics

if TYPE_CHECKING:
    from astropy.table import Table


@dataclass(frozen=True)
class Sources:
    """n sources.

    Attributes:
        names: of the L lines.
        first: the component that defines the S/N.
        second: another component, or None.
        snr: (n,) peak of the reference line over the noise.
        level: (n,) continuum at the reference line over the peak.
        shape: (n, p) parameters of the continuum's shape.
        ebv: (n,) [mag], or None without dust.
        region: (n,) number of the class of a mixed prior, or None.
        regions: names of those classes.
    """

    names: tuple[str, ...]
    first: Kinematics
    second: Kinematics | None
    snr: np.ndarray
    level: np.ndarray
    shape: np.ndarray
    ebv: np.ndarray | None = None
    region: np.ndarray | None = None
    regions: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.snr)


def draw_sources(
    generator: np.random.Generator,
    config: SimulationConfig,
    instrument: Instrument,
    catalogue: LineCatalogue,
    n: int,
) -> tuple[Sources, LineSpread]:
    """Draw n sources, and the line spread each is seen through.

    Args:
        generator: of random numbers.
        config: what to draw.
        instrument: whose resolution is drawn.
        catalogue: the lines.
        n: number of sources.

    Raises:
        UsageError: a prior that does not exist or misses a line.
    """
    widths = config.broadening or prior_broadening(config.prior)
    velocity = uniform(generator, config.velocity, n, name="velocity")
    broadening = uniform(generator, widths, n, name="broadening")
    snr = uniform(generator, config.snr, n, name="snr")
    spread = draw_line_spread(instrument, config.resolution, generator, n)
    lines = draw_lines(generator, config.prior, catalogue.names, n, config.ratios)
    level = uniform(generator, config.continuum, n, name="continuum")
    shape = CONTINUA[config.continuum_shape].draw(generator, n)
    ebv = None
    if config.ebv[1] > 0:
        ebv = uniform(generator, config.ebv, n, name="ebv")
        lines = lines._replace(fluxes=_redden(lines.fluxes, ebv, config, catalogue))
    first = Kinematics(velocity, broadening, lines.fluxes)
    second = None
    if config.components != 1:
        second = _second(generator, config, catalogue, first, widths, ebv)
    sources = Sources(
        catalogue.names, first, second, snr, level, shape, ebv, lines.region, lines.regions
    )
    return sources, spread


def draw_line_spread(
    instrument: Instrument, resolution: Any, generator: np.random.Generator, n: int
) -> LineSpread:
    """The line spread that each of n spectra is seen through.

    Args:
        instrument: whose response.
        resolution: range of R, or None for the instrument's usual one.
        generator: of random numbers.
        n: number of spectra.
    """
    limits: Range | None = resolution
    if limits is None:
        limits = RESOLUTION_RANGES.get(instrument.name)
    if limits is None:
        return instrument.line_spread
    return instrument.line_spread_at(uniform(generator, limits, n, name="resolution"))


def _redden(
    fluxes: np.ndarray, ebv: np.ndarray, config: SimulationConfig, catalogue: LineCatalogue
) -> np.ndarray:
    """Fluxes behind dust, relative to the H-alpha that is left."""
    from nebulines.lines import load_catalogue
    from nebulines.models.dust import transmission

    halpha = load_catalogue().select(["HALPHA6563"]).wavelength_vacuum
    wavelength = np.concatenate([catalogue.wavelength_vacuum, halpha])
    left = transmission(wavelength, ebv, config.extinction, rv=config.rv)
    return fluxes * left[:, :-1] / left[:, -1:]


def _second(
    generator: np.random.Generator,
    config: SimulationConfig,
    catalogue: LineCatalogue,
    first: Kinematics,
    widths: Range,
    ebv: np.ndarray | None,
) -> Kinematics:
    """The second component, with its own line ratios behind the same dust; where a mixed set
    has none, its fluxes are 0 and its velocity and broadening NaN."""
    n = len(first.velocity)
    side = np.where(generator.random(n) < 0.5, -1.0, 1.0)
    distance = uniform(generator, config.separation, n, name="separation")
    broadening = uniform(generator, config.broadening_2 or widths, n, name="broadening_2")
    fluxes = draw_lines(generator, config.prior, catalogue.names, n, config.ratios).fluxes
    if ebv is not None:
        fluxes = _redden(fluxes, ebv, config, catalogue)
    fluxes = fluxes * uniform(generator, config.flux_ratio, n, name="flux_ratio")[:, None]
    velocity = first.velocity + side * distance
    if config.components == "mixed":
        alone = generator.random(n) < 0.5
        fluxes[alone] = 0.0
        velocity[alone] = broadening[alone] = np.nan
    return Kinematics(velocity, broadening, fluxes)


def truth_table(
    sources: Sources,
    *,
    continuum: np.ndarray,
    resolution: np.ndarray,
    config: SimulationConfig,
) -> Table:
    """The truth under the names of a result table.

    Args:
        sources: what was drawn.
        continuum: (n,) level at the reference line, in the unit of the flux.
        resolution: (n,) R.
        config: what was asked.

    Returns:
        ``velocity``, ``broadening``, ``NAME_flux`` ... ``continuum``, ``resolution``, ``snr``,
        ``redshift``; with two components ``velocity_2``, ``broadening_2``, ``NAME_2_flux``,
        ``n_components``; with dust ``ebv``; with a mixed prior ``region``, whose numbers
        ``meta["REGIONS"]`` explains.
    """
    from astropy.table import Table

    columns = {"velocity": sources.first.velocity, "broadening": sources.first.broadening}
    columns |= _fluxes(sources.names, sources.first, "_flux")
    if sources.second is not None:
        columns["velocity_2"] = sources.second.velocity
        columns["broadening_2"] = sources.second.broadening
        columns |= _fluxes(sources.names, sources.second, "_2_flux")
        columns["n_components"] = 1 + np.isfinite(sources.second.velocity).astype(int)
    columns |= {"continuum": continuum, "resolution": resolution, "snr": sources.snr}
    columns["redshift"] = np.full(len(sources), float(config.redshift))
    if sources.ebv is not None:
        columns["ebv"] = sources.ebv
    meta: dict[str, Any] = {"VELCONV": config.convention, "LINES": list(sources.names)}
    if sources.region is not None:
        columns["region"] = sources.region
        meta["REGIONS"] = list(sources.regions)
    table = Table(columns, meta=meta)
    for name in table.colnames:
        if name.startswith(("velocity", "broadening")):
            table[name].unit = "km/s"
    return table


def _fluxes(names: tuple[str, ...], lines: Kinematics, suffix: str) -> dict[str, np.ndarray]:
    return {f"{name}{suffix}": lines.fluxes[:, k] for k, name in enumerate(names)}

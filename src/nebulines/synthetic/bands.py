"""The same objects seen in several bands: one truth, one set of spectra a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.instruments import Instrument, get_instrument
from nebulines.instruments.labels import band_labels
from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import LineCatalogue, load_catalogue
from nebulines.spectra import Spectra
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.observation import Depth, View, observe
from nebulines.synthetic.rendering import Kinematics
from nebulines.synthetic.sources import Sources, draw_line_spread, draw_sources, truth_table

if TYPE_CHECKING:
    from astropy.table import Table

OWN = ("resolution", "n_steps", "correction", "band", "noise", "continuum_shape")
"""Options that may differ from band to band."""


@dataclass(frozen=True)
class Band:
    """One of several bands: its instrument, its own options and the lines that it shows."""

    row: Instrument
    config: SimulationConfig
    catalogue: LineCatalogue


def simulate_bands(
    instruments: Sequence[str | Instrument],
    n: int,
    seed: int | tuple[int, ...],
    config: SimulationConfig | None,
    options: Mapping[str, Any],
) -> tuple[Table, list[Spectra]]:
    """Spectra of n objects in several bands; see `nebulines.simulate`.

    Velocity, broadening, fluxes and dust are drawn once. The S/N is that of H-alpha in the band
    that shows it (the first band where none does); the noise of every other band is such that
    an unresolved line of the same flux has the same S/N there, and its continuum has the same
    level at the middle line.

    Args:
        instruments: names, or `Instrument` rows.
        n: number of objects.
        seed: of the random generator.
        config: what to simulate; None = the defaults.
        options: fields that replace those of ``config``; one of `OWN` may be a mapping from the
            names of instruments to the value of that band.

    Returns:
        Truth with the lines of all bands and ``LABEL_resolution`` of each, and the `Spectra`
        of each band, rows in the same order.
    """
    bands = plan_bands(instruments, config, options)
    reference = reference_band(bands)
    lines = all_lines(bands)
    generator = np.random.default_rng(seed)
    first = bands[reference]
    sources, spread = draw_sources(generator, first.config, first.row, lines, n)
    spreads, views = [], []
    for number, (band, own) in enumerate(zip(bands, generator.spawn(len(bands)), strict=True)):
        if number != reference:
            spreads.append(draw_line_spread(band.row, band.config.resolution, own, n))
        else:
            spreads.append(spread)
        views.append(View(band.config, _axis(band), band.catalogue, spreads[-1]))
    peak = views[reference].peak_of(_shown(sources, lines, first.catalogue).first)
    unit = _unresolved_peak(first, spread)
    spectra = []
    for band, view, own in zip(bands, views, generator.spawn(len(bands)), strict=True):
        here = _shown(sources, lines, band.catalogue)
        sigma = peak / sources.snr * _unresolved_peak(band, view.spread) / unit
        depth = Depth(np.broadcast_to(sigma, (n,)), sources.level * peak)
        flux, variance, level = observe(own, view, here, depth)
        spectra.append(_spectra(flux, variance, band, view, seed))
    resolution = {
        f"{label}_resolution": _resolution(band, view.spread, n)
        for label, band, view in zip(
            band_labels([b.row.name for b in bands]), bands, views, strict=True
        )
    }
    nominal = _resolution(first, spread, n)
    truth = truth_table(sources, continuum=level, resolution=nominal, config=first.config)
    for name, values in resolution.items():
        truth[name] = values
    return truth, spectra


def plan_bands(
    instruments: Sequence[str | Instrument],
    config: SimulationConfig | None,
    options: Mapping[str, Any],
) -> list[Band]:
    """Options and lines of each band.

    Raises:
        UsageError: no band, a band named twice, an option for a band that is not there, or a
            band that shows none of the lines.

    Example:
        >>> bands = plan_bands(["sitelle-sn2", "sitelle-sn3"], None, {"resolution": {
        ...     "sitelle-sn2": 900.0}})
        >>> [(band.row.name, band.config.resolution) for band in bands]
        [('sitelle-sn2', (900.0, 900.0)), ('sitelle-sn3', None)]
    """
    rows = [get_instrument(r) if isinstance(r, str) else r for r in instruments]
    names = [row.name for row in rows]
    if not rows or len(set(names)) < len(names):
        raise UsageError(f"name each band once; got {', '.join(names) or 'none'}")
    own = {key: value for key, value in options.items() if _by_band(key, value)}
    common = {key: value for key, value in options.items() if key not in own}
    for key, values in own.items():
        if unknown := sorted({get_instrument(name).name for name in values} - set(names)):
            raise UsageError(f"{key} is given for {', '.join(unknown)}: not among the bands")
    bands = []
    for row in rows:
        mine = {
            key: value
            for key, values in own.items()
            for name, value in values.items()
            if get_instrument(name).name == row.name
        }
        chosen = SimulationConfig.of({**(vars(config) if config else {}), **common, **mine})
        bands.append(Band(row, chosen, _band_lines(row, chosen)))
    return bands


def _by_band(key: str, value: Any) -> bool:
    return key in OWN and isinstance(value, Mapping)


def reference_band(bands: Sequence[Band]) -> int:
    """Number of the band whose line defines the S/N: the one that shows H-alpha, or the first."""
    return next((k for k, b in enumerate(bands) if "HALPHA6563" in b.catalogue.names), 0)


def _band_lines(row: Instrument, config: SimulationConfig) -> LineCatalogue:
    low, high = row.band if config.band is None else config.band
    chosen = load_catalogue()
    chosen = chosen.defaults() if config.lines is None else chosen.select(config.lines)
    chosen = chosen.observed_in(
        low, high, redshift=config.redshift, medium=row.medium, margin_kms=300.0
    )
    if not len(chosen):
        raise UsageError(
            f"none of the lines falls between {low:.0f} and {high:.0f} A ({row.name}) at redshift "
            f"{config.redshift}: leave the band out, or name other lines"
        )
    return chosen


def all_lines(bands: Sequence[Band]) -> LineCatalogue:
    """The lines that one band or another shows, in the order of the catalogue."""
    shown = {name for band in bands for name in band.catalogue.names}
    catalogue = load_catalogue()
    return catalogue.select([name for name in catalogue.names if name in shown])


def _shown(sources: Sources, lines: LineCatalogue, catalogue: LineCatalogue) -> Sources:
    """The sources with the lines of one band."""
    columns = [lines.names.index(name) for name in catalogue.names]

    def part(component: Kinematics | None) -> Kinematics | None:
        return component and component._replace(fluxes=component.fluxes[:, columns])

    first = part(sources.first)
    assert first is not None
    return replace(sources, names=catalogue.names, first=first, second=part(sources.second))


def _axis(band: Band) -> Any:
    low, high = (None, None) if band.config.band is None else band.config.band
    return band.row.axis_for(
        low=low, high=high, n_steps=band.config.n_steps, correction=band.config.correction
    )


def _unresolved_peak(band: Band, spread: LineSpread) -> np.ndarray:
    """Peak of a line of unit flux and no width at the band's reference wavelength, () or (n,)."""
    from nebulines.models import line_peaks, line_positions, line_spread_width

    rest = line_positions(
        band.row.axis, np.array([band.row.reference_wavelength]), band.config.redshift
    )
    width = np.atleast_2d(line_spread_width(band.row.axis, spread, rest))
    n = len(width)
    peak = line_peaks(
        rest, np.zeros(n), np.zeros(n), np.ones((n, 1)), width,
        spread_shape=spread.shape, kind=band.row.axis,
    )  # fmt: skip
    return np.asarray(peak, float)[:, 0]


def _resolution(band: Band, spread: LineSpread, n: int) -> np.ndarray:
    nominal = band.row.resolution if spread.resolution is None else spread.resolution
    return np.broadcast_to(nominal, (n,)).copy()


def _spectra(flux: np.ndarray, variance: np.ndarray, band: Band, view: View, seed: Any) -> Spectra:
    return Spectra(
        flux,
        view.axis,
        variance=variance,
        line_spread=view.spread,
        redshift=np.full(len(flux), float(band.config.redshift)),
        instrument=band.row.name,
        unit=band.row.unit,
        meta={
            "source": f"simulated {band.row.name}, seed {seed}",
            "VELCONV": band.config.convention,
        },
    )

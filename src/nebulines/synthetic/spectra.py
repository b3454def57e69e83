"""Mock spectra of an instrument, with the truth they were made from."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.instruments import Instrument, get_instrument
from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import LineCatalogue, load_catalogue
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis, VelocityConvention
from nebulines.synthetic.priors import RESOLUTION_RANGES, Range, draw_fluxes, uniform

if TYPE_CHECKING:
    from astropy.table import Table

_CHUNK = 1024


def simulate(
    instrument: str | Instrument = "sitelle-sn3",
    n: int = 1000,
    seed: int = 0,
    *,
    lines: Sequence[str] | None = None,
    velocity: Range = (-200.0, 200.0),
    broadening: Range = (10.0, 50.0),
    snr: Range = (5.0, 30.0),
    resolution: Range | float | None = None,
    ratios: Mapping[str, Range] | None = None,
    continuum: Range = (0.0, 0.0),
    redshift: float = 0.0,
    band: Range | None = None,
    n_steps: int | None = None,
    correction: Any = None,
    convention: VelocityConvention = "optical",
) -> tuple[Table, Spectra]:
    """Spectra of emission-line sources with white noise, and their truth.

    Every quantity is drawn uniformly from its range (low, high). H-alpha, or the line that all
    ratios refer to, has flux 1. The noise of a spectrum is sigma = peak / S/N, where the peak
    is that of H-alpha through the instrument (of the brightest line where H-alpha is not in
    the band): the convention of Rhea et al. 2020, ApJ 901, 152.

    Args:
        instrument: name, or an `Instrument`.
        n: number of spectra.
        seed: of the random generator; the same seed gives the same spectra.
        lines: names; None = the default lines of the catalogue inside the band.
        velocity: [km/s] around the redshift.
        broadening: intrinsic 1-sigma [km/s], >= 0.
        snr: peak over noise.
        resolution: R, a range or one number; None = the range of `priors.RESOLUTION_RANGES`,
            else the instrument's own line spread.
        ratios: {name: (low, high)} in place of built-in ranges, see `priors.draw_fluxes`.
        continuum: constant level, in units of the peak.
        redshift: of every source.
        band: (low, high) observed wavelengths [Angstrom]: a part of a dispersive
            instrument's band.
        n_steps: of SITELLE's scan, which sets the number of channels; None = the instrument's.
            For a resolution far from the nominal one, scale it alike: the channels of a real
            scan follow its resolution.
        correction: SITELLE's 1 / cos(theta), one number or (n,); None = the instrument's.
        convention: ``optical`` or ``relativistic`` velocity.

    Returns:
        Truth table with the names of a result table (``velocity``, ``broadening``,
        ``HALPHA6563_flux`` ..., ``continuum``, ``resolution``, ``snr``), and the `Spectra` with
        their variance, line spread and redshift; flux in float32.

    Raises:
        UsageError: an unknown instrument or line, a range that is none, no line in the band.

    Example:
        >>> truth, spectra = simulate("sitelle-sn3", n=3, seed=1)
        >>> len(truth), spectra.flux.shape, "NII6583_flux" in truth.colnames
        (3, (3, 842), True)
    """
    row = get_instrument(instrument) if isinstance(instrument, str) else instrument
    if n < 1:
        raise UsageError(f"simulate at least one spectrum, not {n}")
    generator = np.random.default_rng(seed)
    low, high = (None, None) if band is None else band
    axis = row.axis_for(low=low, high=high, n_steps=n_steps, correction=correction)
    catalogue = _lines(row, lines, band, redshift)
    values = {
        "velocity": uniform(generator, velocity, n, name="velocity"),
        "broadening": uniform(generator, broadening, n, name="broadening", least=0.0),
        "snr": uniform(generator, snr, n, name="snr", least=0.0, zero=False),
    }
    spread = _line_spread(row, resolution, generator, n)
    fluxes = draw_fluxes(generator, catalogue.names, n, ratios)
    level = uniform(generator, continuum, n, name="continuum")
    flux, peak = _noise_free(axis, catalogue, spread, values, fluxes, redshift, convention)
    sigma = peak / values["snr"]
    level = level * peak
    flux += level[:, None].astype(np.float32)
    flux += _noise(generator, sigma, axis.n_channels)
    spectra = Spectra(
        flux,
        axis,
        variance=np.broadcast_to((sigma**2).astype(np.float32)[:, None], flux.shape),
        line_spread=spread,
        redshift=np.full(n, float(redshift)),
        instrument=row.name,
        unit=row.unit,
        meta={"source": f"simulated {row.name}, seed {seed}", "VELCONV": convention},
    )
    values |= {"continuum": level, "resolution": _resolution(row, spread, n)}
    return _truth(values, catalogue.names, fluxes, redshift, convention), spectra


def _lines(
    row: Instrument, names: Sequence[str] | None, band: Range | None, redshift: float
) -> LineCatalogue:
    low, high = row.band if band is None else band
    chosen = load_catalogue().defaults() if names is None else load_catalogue().select(names)
    if names is None:
        chosen = chosen.observed_in(
            low, high, redshift=redshift, medium=row.medium, margin_kms=300.0
        )
    if not len(chosen):
        raise UsageError(
            f"no default line falls between {low:.0f} and {high:.0f} A at redshift {redshift}: "
            "change the redshift or name the lines"
        )
    return chosen


def _line_spread(
    row: Instrument, resolution: Any, generator: np.random.Generator, n: int
) -> LineSpread:
    if resolution is None:
        resolution = RESOLUTION_RANGES.get(row.name)
    if resolution is None:
        return row.line_spread
    limits = (resolution, resolution) if np.ndim(resolution) == 0 else resolution
    drawn = uniform(generator, limits, n, name="resolution", least=0.0, zero=False)
    return row.line_spread_at(drawn)


def _resolution(row: Instrument, spread: LineSpread, n: int) -> np.ndarray:
    nominal = row.resolution if spread.resolution is None else spread.resolution
    return np.broadcast_to(nominal, (n,)).copy()


def _noise_free(
    axis: SpectralAxis,
    catalogue: LineCatalogue,
    spread: LineSpread,
    values: dict[str, np.ndarray],
    fluxes: np.ndarray,
    redshift: float,
    convention: VelocityConvention,
) -> tuple[np.ndarray, np.ndarray]:
    """Spectra (n, channel) float32 and the peak (n,) of the line that defines the S/N."""
    from nebulines.models import line_positions, line_spread_width

    wavelengths = catalogue.wavelength(axis.medium)
    rest = line_positions(axis.kind, wavelengths, redshift)
    width = line_spread_width(axis.kind, spread, rest)
    width = np.broadcast_to(width, fluxes.shape)
    model = _compiled(spread.shape, axis.kind, convention)
    n = len(fluxes)
    flux = np.empty((n, axis.n_channels), np.float32)
    heights = np.empty(fluxes.shape, np.float32)
    size = min(n, _CHUNK)
    shared = (axis.values[None, :] - rest[:, None]).astype(np.float32) if axis.shared else None
    for start in range(0, n, size):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        offsets = shared
        if offsets is None:
            offsets = axis.rows(rows).per_spectrum(size)[:, None, :] - rest[:, None]
        arrays = (values["velocity"], values["broadening"], fluxes, width)
        chunk, peak = model(
            np.asarray(offsets, np.float32),
            rest.astype(np.float32),
            *(a[rows].astype(np.float32) for a in arrays),
        )
        keep = min(size, n - start)
        flux[start : start + keep] = np.asarray(chunk)[:keep]
        heights[start : start + keep] = np.asarray(peak)[:keep]
    heights64 = heights.astype(float)
    if "HALPHA6563" in catalogue.names:
        return flux, heights64[:, catalogue.index("HALPHA6563")]
    return flux, heights64.max(axis=1)


@functools.cache
def _compiled(shape: str, kind: str, convention: str) -> Any:
    """Jitted model: spectra (n, channel), and the peak (n, L) of each line alone."""
    import jax

    from nebulines.models import line_peaks, lines_at_offsets

    options: Any = {"spread_shape": shape, "kind": kind, "convention": convention}

    def model(offsets: Any, rest: Any, *arrays: Any) -> tuple[Any, Any]:
        spectra = lines_at_offsets(offsets, rest, *arrays, **options)
        return spectra, line_peaks(rest, *arrays, **options)

    return jax.jit(model)


def _noise(generator: np.random.Generator, sigma: np.ndarray, n_channels: int) -> np.ndarray:
    noise = generator.standard_normal((len(sigma), n_channels), np.float32)
    noise *= sigma[:, None].astype(np.float32)
    return noise


def _truth(
    values: dict[str, np.ndarray],
    names: Sequence[str],
    fluxes: np.ndarray,
    redshift: float,
    convention: VelocityConvention,
) -> Table:
    from astropy.table import Table

    columns = {name: values[name] for name in ("velocity", "broadening")}
    columns |= {f"{name}_flux": fluxes[:, k] for k, name in enumerate(names)}
    columns |= {name: values[name] for name in ("continuum", "resolution", "snr")}
    columns["redshift"] = np.full(len(fluxes), float(redshift))
    table = Table(columns, meta={"VELCONV": convention, "LINES": list(names)})
    table["velocity"].unit = table["broadening"].unit = "km/s"
    return table

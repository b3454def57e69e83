"""Mock spectra of an instrument, with the truth they were made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from nebulines.errors import UsageError
from nebulines.instruments import Instrument, get_instrument
from nebulines.lines import LineCatalogue, load_catalogue
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis
from nebulines.synthetic.config import GALAXIES, SimulationConfig
from nebulines.synthetic.observation import View, observe
from nebulines.synthetic.sources import draw_sources, truth_table

if TYPE_CHECKING:
    from astropy.table import Table


@overload
def simulate(
    instrument: str | Instrument = "sitelle-sn3",
    n: int = 1000,
    seed: int | tuple[int, ...] = 0,
    *,
    config: SimulationConfig | None = None,
    **options: Any,
) -> tuple[Table, Spectra]: ...


@overload
def simulate(
    instrument: Sequence[str | Instrument],
    n: int = 1000,
    seed: int | tuple[int, ...] = 0,
    *,
    config: SimulationConfig | None = None,
    **options: Any,
) -> tuple[Table, list[Spectra]]: ...


def simulate(
    instrument: str | Instrument | Sequence[str | Instrument] = "sitelle-sn3",
    n: int = 1000,
    seed: int | tuple[int, ...] = 0,
    *,
    config: SimulationConfig | None = None,
    **options: Any,
) -> tuple[Table, Any]:
    """Spectra of emission-line sources with noise, and their truth.

    H-alpha, or the line that all ratios refer to, has flux 1 (of the first component, behind
    the dust). The noise at the reference line is sigma = peak / S/N, where the peak is that of
    H-alpha through the instrument (of the brightest line where H-alpha is not in the band):
    the convention of Rhea et al. 2020, ApJ 901, 152.

    ``galaxies-sdss``, ``galaxies-desi``, ``galaxies-manga`` ... are galaxies with starlight under
    their lines as that survey sees them, see
    `nebulines.galaxies.population.mocks.simulate_galaxies`; of the options they take ``redshift``
    and ``snr``.

    With several instruments the same objects are seen in each of their bands: velocity,
    broadening, fluxes and dust are drawn once. The S/N is that of H-alpha in the band that shows
    it (the first band where none does); the noise of every other band is such that an unresolved
    line of the same flux has the same S/N there.

    Args:
        instrument: name, or an `Instrument`; or several of either.
        n: number of spectra (of each band).
        seed: of the random generator, a number or several; the same seed gives the same
            spectra.
        config: what to simulate; None = the defaults of `SimulationConfig`.
        **options: fields of `SimulationConfig` that replace those of ``config``: ``lines``,
            ``prior``, ``ratios``, ``velocity``, ``broadening``, ``snr``, ``resolution``,
            ``continuum``, ``continuum_shape``, ``ebv``, ``extinction``, ``rv``,
            ``components``, ``separation``, ``broadening_2``, ``flux_ratio``, ``noise``,
            ``redshift``, ``band``, ``n_steps``, ``correction``, ``convention``. With several
            instruments ``resolution``, ``band``, ``n_steps``, ``correction``, ``noise`` and
            ``continuum_shape`` may be mappings from instrument to the value of that band.

    Returns:
        Truth table with the names of a result table (see `sources.truth_table`), and the
        `Spectra` with their variance, line spread and redshift; flux in float32. With several
        instruments a list of `Spectra`, and a truth with the lines of all bands and columns
        such as ``SN1_resolution``.

    Raises:
        UsageError: an unknown instrument, option, line or prior, a range that is none, no
            line in the band.

    Example:
        >>> truth, spectra = simulate("sitelle-sn3", n=3, seed=1)
        >>> len(truth), spectra.flux.shape, "NII6583_flux" in truth.colnames
        (3, (3, 842), True)
        >>> truth, (blue, red) = simulate(["sitelle-sn2", "sitelle-sn3"], n=3, seed=1)
        >>> len(truth), blue.flux.shape, red.flux.shape, "HBETA4861_flux" in truth.colnames
        (3, (3, 219), (3, 842), True)
    """
    if n < 1:
        raise UsageError(f"simulate at least one spectrum, not {n}")
    if np.size(seed) == 0 or np.min(seed) < 0:
        raise UsageError(f"a seed is a number from 0 up, or several; got {seed!r}")
    if isinstance(instrument, str) and instrument.startswith(GALAXIES):
        from nebulines.galaxies.population.mocks import GalaxyConfig, simulate_galaxies

        return simulate_galaxies(instrument, n, seed, GalaxyConfig.of(options))
    if not isinstance(instrument, str | Instrument):
        from nebulines.synthetic.bands import simulate_bands

        return simulate_bands(instrument, n, seed, config, options)
    chosen = resolve(config, options)
    row = get_instrument(instrument) if isinstance(instrument, str) else instrument
    catalogue = simulated_lines(row, chosen)
    generator = np.random.default_rng(seed)
    sources, spread = draw_sources(generator, chosen, row, catalogue, n)
    view = View(chosen, _axis(row, chosen), catalogue, spread)
    flux, variance, level = observe(generator, view, sources)
    spectra = Spectra(
        flux,
        view.axis,
        variance=variance,
        line_spread=spread,
        redshift=np.full(n, float(chosen.redshift)),
        instrument=row.name,
        unit=row.unit,
        meta={"source": f"simulated {row.name}, seed {seed}", "VELCONV": chosen.convention},
    )
    nominal = row.resolution if spread.resolution is None else spread.resolution
    resolution = np.broadcast_to(nominal, (n,)).copy()
    return truth_table(sources, continuum=level, resolution=resolution, config=chosen), spectra


@overload
def simulate_blocks(
    instrument: str | Instrument = "sitelle-sn3",
    n: int = 1000,
    seed: int = 0,
    *,
    block: int = 16384,
    config: SimulationConfig | None = None,
    **options: Any,
) -> Iterator[tuple[Table, Spectra]]: ...


@overload
def simulate_blocks(
    instrument: Sequence[str | Instrument],
    n: int = 1000,
    seed: int = 0,
    *,
    block: int = 16384,
    config: SimulationConfig | None = None,
    **options: Any,
) -> Iterator[tuple[Table, list[Spectra]]]: ...


def simulate_blocks(
    instrument: str | Instrument | Sequence[str | Instrument] = "sitelle-sn3",
    n: int = 1000,
    seed: int = 0,
    *,
    block: int = 16384,
    config: SimulationConfig | None = None,
    **options: Any,
) -> Iterator[tuple[Table, Any]]:
    """The same, block after block, for sets larger than memory and for training.

    The first block is `simulate` with the same seed; block k > 0 has the seed (seed, k).

    Args:
        instrument, n, seed, config, **options: as in `simulate`.
        block: spectra in a block.

    Yields:
        Truth and spectra of each block.

    Example:
        >>> [len(truth) for truth, _ in simulate_blocks(n=5, block=2)]
        [2, 2, 1]
    """
    if n < 1 or block < 1:
        raise UsageError(f"simulate at least one spectrum in blocks of one, not {n} in {block}")
    if not isinstance(instrument, str | Instrument) or str(instrument).startswith(GALAXIES):
        for k, start in enumerate(range(0, n, block)):
            size, own = min(block, n - start), (seed, k) if k else seed
            yield simulate(instrument, size, own, config=config, **options)
        return
    chosen = resolve(config, options)
    for k, start in enumerate(range(0, n, block)):
        part = chosen
        if np.ndim(chosen.correction):
            part = replace(chosen, correction=np.asarray(chosen.correction)[start : start + block])
        size = min(block, n - start)
        yield simulate(instrument, size, (seed, k) if k else seed, config=part)


def resolve(config: SimulationConfig | None, options: dict[str, Any]) -> SimulationConfig:
    """The configuration with the options in place of its own.

    Example:
        >>> resolve(None, {"snr": (3, 4)}).snr
        (3.0, 4.0)
    """
    if config is None:
        return SimulationConfig.of(options)
    return SimulationConfig.of({**vars(config), **options}) if options else config


def simulated_lines(row: Instrument, config: SimulationConfig) -> LineCatalogue:
    """The lines that a configuration asks for, or the default ones in the band."""
    if config.lines is not None:
        return load_catalogue().select(config.lines)
    low, high = row.band if config.band is None else config.band
    chosen = load_catalogue().defaults()
    chosen = chosen.observed_in(
        low, high, redshift=config.redshift, medium=row.medium, margin_kms=300.0
    )
    if not len(chosen):
        raise UsageError(
            f"no default line falls between {low:.0f} and {high:.0f} A at redshift "
            f"{config.redshift}: change the redshift or name the lines"
        )
    return chosen


def _axis(row: Instrument, config: SimulationConfig) -> SpectralAxis:
    low, high = (None, None) if config.band is None else config.band
    return row.axis_for(low=low, high=high, n_steps=config.n_steps, correction=config.correction)

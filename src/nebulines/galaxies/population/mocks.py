"""Mock spectra of galaxies as surveys deliver them, with their truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.galaxies.population.drawing import draw_population
from nebulines.galaxies.population.ionised_gas import LINES
from nebulines.galaxies.population.observing import Observed, observe
from nebulines.galaxies.population.population import CLASSES, Population
from nebulines.galaxies.population.surveys import Survey, get_survey
from nebulines.instruments.line_spread import LineSpread
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis
from nebulines.synthetic.config import GALAXIES
from nebulines.synthetic.priors import Range, check_range

if TYPE_CHECKING:
    from astropy.table import Table

_VELOCITY_SPREAD = 30.0
_BLOCK = 4096


@dataclass(frozen=True)
class GalaxyConfig:
    """Options of mock galaxies.

    Attributes:
        redshift: (low, high), drawn uniformly; None = the survey's range.
        snr: (low, high) of the S/N of a channel near 5500 Angstrom, drawn uniformly in the
            logarithm; None = as the survey has it.

    Example:
        >>> GalaxyConfig(snr=(5, 10)).snr
        (5.0, 10.0)
    """

    redshift: Range | None = None
    snr: Range | None = None

    def __post_init__(self) -> None:
        for name, zero in (("redshift", True), ("snr", False)):
            value = getattr(self, name)
            if value is not None:
                value = (value, value) if np.ndim(value) == 0 else value
                limits = check_range(value, name=name, least=0.0, zero=zero)
                object.__setattr__(self, name, limits)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> GalaxyConfig:
        """From keywords.

        Raises:
            UsageError: another option than ``redshift`` and ``snr``.

        Example:
            >>> GalaxyConfig.of({"redshift": (0.05, 0.1)}).redshift
            (0.05, 0.1)
        """
        if unknown := sorted(set(options) - {"redshift", "snr"}):
            raise UsageError(
                f"mock galaxies take the options redshift and snr, not {', '.join(unknown)}: "
                "their lines, widths and dust follow from the population"
            )
        return cls(**options)


def simulate_galaxies(
    name: str, n: int = 1000, seed: Any = 0, config: GalaxyConfig | None = None
) -> tuple[Table, Spectra]:
    """Galaxies as a survey would see them, and their truth.

    Args:
        name: ``galaxies-`` and the name of a survey, see `surveys.survey_names`.
        n: number of galaxies.
        seed: of the random generator; the same seed gives the same galaxies.
        config: redshifts and S/N.

    Returns:
        Truth, one row a galaxy: ``velocity`` (from the stated redshift) and ``broadening`` of the
        gas and the flux of each line as a fit would find them, ``NAME_ew`` [Angstrom, rest
        frame], ``stellar_velocity``, ``stellar_dispersion``, ``continuum`` near 5500 Angstrom,
        ``class_number`` (names in the metadata), ``log_mass``, ``log_sfr``,
        ``oxygen_abundance``, ``av``, ``av_clouds``, ``d4000``, ``snr``; and the `Spectra`, whose
        channels beyond the stellar basis are masked.

    Raises:
        UsageError: an unknown survey, no galaxies, an impossible range.

    Example:
        >>> truth, spectra = simulate_galaxies("galaxies-sdss", n=3, seed=1)
        >>> spectra.flux.shape, "HALPHA6563_ew" in truth.colnames, spectra.instrument
        ((3, 3836), True, 'sdss')
    """
    survey, config = survey_of(name), config or GalaxyConfig()
    rng = np.random.default_rng(seed)
    population = draw_population(n, rng)
    stated, snr = _drawn(survey, config, n, rng)
    velocity = (
        rng.normal(0.0, _VELOCITY_SPREAD, n) if survey.instrument is not None else np.zeros(n)
    )
    true = (1.0 + stated) * (1.0 + velocity / SPEED_OF_LIGHT_KMS) - 1.0
    seen = observe(population, survey, rng, snr=snr, redshift=true)
    return _truth(population, seen, velocity, survey), _spectra(seen, stated, survey, name, seed)


def galaxy_blocks(
    name: str, n: int, seed: int = 0, config: GalaxyConfig | None = None, *, block: int = _BLOCK
) -> Iterator[tuple[Table, Spectra]]:
    """The same, block after block; block k > 0 has the seed (seed, k).

    Example:
        >>> [len(truth) for truth, _ in galaxy_blocks("galaxies-uniform-0.04", 3, block=2)]
        [2, 1]
    """
    for k, start in enumerate(range(0, n, block)):
        yield simulate_galaxies(name, min(block, n - start), (seed, k) if k else seed, config)


def survey_of(name: str) -> Survey:
    """Survey of a name with its prefix.

    Example:
        >>> survey_of("galaxies-desi").name
        'desi'
    """
    if not name.startswith(GALAXIES):
        raise UsageError(f"mock galaxies are named {GALAXIES}SURVEY, for example {GALAXIES}desi")
    return get_survey(name.removeprefix(GALAXIES))


def _drawn(
    survey: Survey, config: GalaxyConfig, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """Redshifts (n,), and S/N (n,) or None."""
    redshift = rng.uniform(*(config.redshift or survey.redshift), n)
    if config.snr is None:
        return redshift, None
    low, high = np.log(config.snr)
    return redshift, np.exp(rng.uniform(low, high, n))


def _truth(population: Population, seen: Observed, velocity: np.ndarray, survey: Survey) -> Table:
    from astropy.table import Table

    columns = {"velocity": velocity, "broadening": population.gas_dispersion}
    for name, flux, ew in zip(LINES, population.flux.T, population.ew.T, strict=True):
        columns[f"{name}_flux"] = flux * seen.scale
        columns[f"{name}_ew"] = ew
    near = np.abs(seen.wavelength - 5500.0) < 50.0
    columns |= {
        "continuum": np.median(seen.clean[:, near], axis=1),
        "stellar_velocity": velocity,
        "stellar_dispersion": population.velocity_dispersion,
        "class_number": population.kind.astype(np.int32),
        "snr": seen.snr,
        "true_redshift": seen.redshift,
    }
    for name in ("log_mass", "log_sfr", "oxygen_abundance", "log_u", "av", "av_clouds", "d4000"):
        columns[name] = getattr(population, name)
    return Table(columns, meta={"CLASSES": list(CLASSES), "SURVEY": survey.name})


def _spectra(seen: Observed, redshift: np.ndarray, survey: Survey, name: str, seed: Any) -> Spectra:
    axis = SpectralAxis(seen.wavelength, "wavelength", seen.medium)
    spread = None
    if survey.fwhm is not None:
        spread = LineSpread("gaussian", fwhm_table=(seen.wavelength, np.array(survey.fwhm)))
    return Spectra(
        seen.flux,
        axis,
        variance=np.square(seen.sigma),
        mask=~seen.usable,
        line_spread=spread,
        redshift=redshift,
        instrument=survey.instrument.name if survey.instrument else None,
        unit=survey.unit,
        meta={"source": f"simulated {name}, seed {seed}", "VELCONV": "optical"},
    )

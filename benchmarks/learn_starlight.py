"""Make the stellar basis that the package ships, from published population models.

    pip download --no-deps sdss-mangadap==4.5.0 && unzip -d mangadap sdss_mangadap-4.5.0*.whl
    python -m benchmarks.learn_starlight mangadap \\
        src/nebulines/galaxies/starlight/data/starlight.safetensors

MANGADAP is the folder of the unpacked package (BSD-3). Used of it: ``mastar_ssp_v1.0``, single
stellar populations of MaStar stars (Maraston et al. 2020, MNRAS 496, 2962; Salpeter, nine ages,
six metallicities), and ``bc03_mpajhu``, those of Bruzual & Charlot 2003 (MNRAS 344, 1000).

1. MaStar spectra are brought from vacuum to air and onto a grid of 1e-4 in log10 wavelength.
2. They come without a scale, and begin at 3627 Angstrom with little signal. Below `_JOIN` the
   shape is that of Bruzual & Charlot at the same age and metallicity (interpolated in log age
   and log Z, logarithms of the flux), joined at equal flux in `_JOIN`.
3. The scale is that of Bruzual & Charlot in `_SCALE`: solar luminosities per Angstrom and solar
   mass formed. Ages below theirs take the youngest, ages above follow the last slope.
4. Fluxes are stored relative to their mean in `_SCALE` in half precision (a part in 2000).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

_STEP = 1e-4
_RANGE = (3300.0, 9300.0)
_JOIN = (3660.0, 3740.0)
_SCALE = (5450.0, 5550.0)
_SOLAR = 0.02
_LIBRARY = Path("mangadap") / "data" / "spectral_templates"
_FIRST_YEARS = 3.16e6


class Models(NamedTuple):
    """Spectra (k, m) on a grid in air, log10 of ages in years and of metallicities in solar."""

    flux: np.ndarray
    log_age: np.ndarray
    metallicity: np.ndarray


def grid() -> np.ndarray:
    """Wavelengths in air [Angstrom]."""
    low, high = np.log10(_RANGE)
    return 10.0 ** (low + _STEP * np.arange(int((high - low) / _STEP) + 2))


def mastar(folder: Path, wave: np.ndarray) -> tuple[Models, np.ndarray]:
    """The MaStar populations, and their resolution R on the grid."""
    from astropy.io import fits

    from nebulines.spectral_axis import vacuum_to_air

    rows = []
    for path in sorted((folder / _LIBRARY / "mastar_ssp_v1.0").glob("*.fits.gz")):
        age, z = re.findall(r"A([\d.]+)-Z([+-][\d.]+)\.fits", path.name)[0]
        with fits.open(path) as file:
            head, flux, resolution = file[0].header, file[0].data, file["SRES"].data
        own = vacuum_to_air(10.0 ** (head["CRVAL1"] + head["CDELT1"] * np.arange(flux.size)))
        rows.append((float(age), float(z), np.interp(wave, own, flux)))
    years = np.array([row[0] for row in rows]) * 1e9
    years[years < 5e6] = _FIRST_YEARS
    years[np.isclose(years, 3.2e7)] = 3.16e7
    flux = np.array([row[2] for row in rows])
    models = Models(flux, np.log10(years), np.array([row[1] for row in rows]))
    return models, np.interp(wave, own, resolution)


def bruzual_charlot(folder: Path, wave: np.ndarray) -> Models:
    """The Bruzual & Charlot populations; above and below their range, the last value."""
    from astropy.io import fits

    flux, log_age, metallicity = [], [], []
    for path in sorted((folder / _LIBRARY / "bc03_mpajhu").glob("*.fits")):
        with fits.open(path) as file:
            head, data = file[0].header, file[0].data
        own = head["CRVAL1"] + head["CDELT1"] * np.arange(data.size)
        flux.append(np.interp(wave, own, data))
        log_age.append(np.log10(head["AGE"] * 1e9))
        metallicity.append(np.log10(head["Z"] / _SOLAR))
    return Models(np.array(flux), np.array(log_age), np.array(metallicity))


def at(models: Models, log_age: float, metallicity: float, *, beyond: bool) -> np.ndarray:
    """Spectrum (m,) interpolated in log age and metallicity, logarithms of the flux.

    ``beyond`` follows the last slope for ages above the grid's; metallicities are clipped.
    """
    ages, metals = np.unique(models.log_age), np.unique(models.metallicity.round(4))
    logs = np.empty((len(ages), len(metals), models.flux.shape[1]))
    for flux, age, z in zip(*models, strict=True):
        logs[np.searchsorted(ages, age), np.argmin(abs(metals - z))] = np.log(flux)
    a = np.clip(np.interp(log_age, ages, np.arange(len(ages))), 0, len(ages) - 1)
    if beyond and log_age > ages[-1]:
        a += (log_age - ages[-1]) / (ages[-1] - ages[-2])
    z = np.interp(metallicity, metals, np.arange(len(metals)))
    i, j = min(int(a), len(ages) - 2), min(int(z), len(metals) - 2)
    s, t = a - i, z - j
    older = (1 - t) * logs[i + 1, j] + t * logs[i + 1, j + 1]
    return np.exp((1 - s) * ((1 - t) * logs[i, j] + t * logs[i, j + 1]) + s * older)


def mean(wave: np.ndarray, flux: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Mean flux between two wavelengths."""
    inside = (wave >= limits[0]) & (wave <= limits[1])
    return flux[..., inside].mean(axis=-1)


def joined(wave: np.ndarray, flux: np.ndarray, blue: np.ndarray) -> np.ndarray:
    """``flux`` with the shape of ``blue`` below `_JOIN`, crossing over linearly inside it."""
    blue = blue * mean(wave, flux, _JOIN) / mean(wave, blue, _JOIN)
    share = np.clip((wave - _JOIN[0]) / (_JOIN[1] - _JOIN[0]), 0.0, 1.0)
    return share * flux + (1.0 - share) * blue


@click.command()
@click.argument("mangadap", type=click.Path(path_type=Path, exists=True))
@click.argument("output", type=click.Path(path_type=Path))
def main(mangadap: Path, output: Path) -> None:
    """Write the basis."""
    from safetensors.numpy import save_file

    wave = grid()
    stars, resolution = mastar(mangadap, wave)
    models = bruzual_charlot(mangadap, wave)
    flux, level = [], []
    for own, age, z in zip(*stars, strict=True):
        blue = at(models, age, z, beyond=False)
        scale = mean(wave, at(models, age, z, beyond=True), _SCALE)
        whole = joined(wave, own, blue)
        flux.append(whole / mean(wave, whole, _SCALE))
        level.append(scale)
    save_file(
        {
            "log10_wavelength_air": np.array([np.log10(wave[0]), _STEP, len(wave)]),
            "flux": np.array(flux, np.float16),
            "level": np.array(level, np.float32),
            "log_age": stars.log_age.astype(np.float32),
            "metallicity": stars.metallicity.astype(np.float32),
            "resolution": resolution.astype(np.float32)[::50],
        },
        output,
        metadata={
            "source": "MaStar SSP v1.0 (Maraston et al. 2020) of sdss-mangadap 4.5.0 (BSD-3); "
            "below 3700 A and for the scale Bruzual & Charlot 2003 of the same package",
            "unit": "solar luminosities per Angstrom and solar mass formed, Salpeter",
            "command": "python -m benchmarks.learn_starlight MANGADAP OUTPUT",
        },
    )
    click.echo(f"wrote {output}: {len(flux)} populations of {len(wave)} wavelengths")


if __name__ == "__main__":
    main()

"""Learn how the noise of surveys depends on wavelength, from a few of their spectra.

    python -m benchmarks.learn_survey_noise SPECTRA \\
        src/nebulines/galaxies/population/data/survey_noise.toml

SPECTRA holds ``sdss/`` (spectra of the SDSS and BOSS spectrographs with ivar), ``desi/`` (coadds)
and ``manga/`` (binned spectra with ivar). For each spectrum the errors are averaged in steps of 20
Angstrom (root mean square) and divided by their median between 5300 and 5700; the table is the
median over the spectra of a survey, so that sky lines and the edges of the cameras stay in.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

_STEP = 20.0
_REFERENCE = (5300.0, 5700.0)
_RANGES = {"sdss": (3620.0, 9190.0), "desi": (3600.0, 9820.0), "manga": (3630.0, 10340.0)}


def sdss(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Wavelengths and inverse variances of each spectrum (stored as log10)."""
    from astropy.io import fits

    for path in sorted(folder.glob("*.fits")):
        with fits.open(path) as file:
            wave = 10.0 ** np.ravel(file[2].data["input_grid"]).astype(float)
            for ivar in file[1].data["ivar"]:
                yield wave, np.asarray(ivar, float)


def desi(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same; cameras one after the other, where they overlap the better one counts."""
    from astropy.io import fits

    for path in sorted(folder.glob("coadd-*.fits")):
        with fits.open(path) as file:
            wave = np.concatenate([file[f"{c}_WAVELENGTH"].data for c in "BRZ"])
            ivar = np.concatenate([file[f"{c}_IVAR"].data[0] for c in "BRZ"])
        both = np.unique(wave.round(3))
        total = np.bincount(np.searchsorted(both, wave.round(3)), ivar, len(both))
        yield both, total


def manga(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same."""
    from astropy.io import fits

    for path in sorted(folder.glob("MaNGA_test_spectra*.fits.gz")):
        with fits.open(path) as file:
            wave = np.asarray(file["WAVE"].data, float)
            for ivar, mask in zip(file["IVAR"].data, file["MASK"].data, strict=True):
                yield wave, np.where(mask == 0, ivar, 0.0)


def shape(wave: np.ndarray, ivar: np.ndarray, knots: np.ndarray) -> np.ndarray | None:
    """Errors at the knots relative to those at 5500 Angstrom; None where nothing is usable."""
    good = ivar > 0
    variance = np.where(good, 1.0 / np.where(good, ivar, 1.0), np.nan)
    near = (wave > _REFERENCE[0]) & (wave < _REFERENCE[1]) & good
    if near.sum() < 50:
        return None
    place = np.round((wave - knots[0]) / _STEP).astype(int)
    values = []
    for k in range(len(knots)):
        inside = (place == k) & good
        values.append(_typical(variance[inside]) if inside.sum() > 3 else np.nan)
    return np.sqrt(np.array(values) / np.median(variance[near]))


def _typical(variance: np.ndarray) -> float:
    """Mean without the largest twentieth: single bad pixels do not count, sky lines do."""
    return float(np.mean(variance[variance <= np.quantile(variance, 0.95)]))


@click.command()
@click.argument("spectra", type=click.Path(path_type=Path, exists=True))
@click.argument("output", type=click.Path(path_type=Path))
def main(spectra: Path, output: Path) -> None:
    """Write the table."""
    text = ["# " + line if line else "#" for line in (__doc__ or "").strip().split("\n")]
    text += ["", f"step = {_STEP}"]
    for name, read in {"sdss": sdss, "desi": desi, "manga": manga}.items():
        low, high = _RANGES[name]
        knots = np.arange(low, high + _STEP, _STEP)
        found = [shape(wave, ivar, knots) for wave, ivar in read(spectra / name)]
        rows = np.array([row for row in found if row is not None])
        middle = np.nanmedian(rows, axis=0)
        filled = np.interp(knots, knots[np.isfinite(middle)], middle[np.isfinite(middle)])
        numbers = ", ".join(f"{value:.2f}" for value in filled)
        text += ["", f"[{name}]", f"first = {low}", f"relative = [{numbers}]"]
        click.echo(f"{name}: {len(rows)} spectra, {filled.min():.2f} to {filled.max():.2f}")
    output.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Lines of the arc in Abell 370 beside the published ones, and what a difference comes from.

The file holds 107 spectra of the arc, as observed and less the continuum of the publication
(Patricio et al. 2018, MNRAS 477, 18), with the line fluxes published there. On the latter spectra
no starlight of ours matters: what is left is how a line is measured. Beside Balmer lines a wrong
depth of the stellar absorption leaves a trough or a rim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import nebulines as nl
from benchmarks.arc_profiles import CHECKED, profile_checks, profile_page
from benchmarks.arc_published import conventions, published_page, scored
from benchmarks.reporting import judged, table
from nebulines.instruments import get_instrument
from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import load_catalogue
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis

LINES = ("OII3726", "OII3729", "NEIII3869", "HDELTA4102", "HGAMMA4340", "HBETA4861", "OIII4959",
         "OIII5007")  # fmt: skip
SHOWN = {"[OII]3727": ("OII3726", "OII3729"), "Hb": ("HBETA4861",), "[OIII]5007": ("OIII5007",)}
SHOWN |= {"[OIII]4959": ("OIII4959",), "Hg": ("HGAMMA4340",), "Hd": ("HDELTA4102",)}
BALMER = ("Hd", "Hg", "Hb")
REDSHIFT = 0.725  # of the arc; its table is in the rest frame
TIES = "OII3726,OII3729;HBETA4861,OIII4959,OIII5007"
# the published fluxes were fitted in sections of the spectrum, each with a velocity and a width
REACH, SIDES = (5.0, 8.0), (12.0, 40.0)  # of plain sums of channels, and of what lies beside
WING, FLAT = (4.5, 10.0), (14.0, 45.0)  # beside a Balmer line, and the level of that [Angstrom]
_FIT_REACH, _SIGMAS = 10.0, np.arange(0.3, 2.51, 0.02)
_CENTRES = np.arange(-3.0, 3.01, 0.1)
STRONG = 5.0


class Arc(NamedTuple):
    """n spectra, as observed and without the published continuum; published lines and errors."""

    spectra: Spectra
    bare: np.ndarray
    names: list[str]
    flux: np.ndarray
    error: np.ndarray

    @property
    def wave(self) -> np.ndarray:
        """(channel,) [Angstrom, rest frame]."""
        return np.asarray(self.spectra.axis.values)

    def published(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Flux and error (n,) of a line, NaN where it is not `STRONG`."""
        column = self.names.index(name)
        flux, error = self.flux[:, column], self.error[:, column]
        strong = np.isfinite(flux) & (flux > STRONG * error)
        return np.where(strong, flux, np.nan), error


def spread(values: np.ndarray) -> float:
    """Normalised median absolute deviation."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def read_arc(path: Path) -> Arc:
    """The table."""
    with np.load(path) as file:
        wave, flux, bare = (file[key] for key in ("wave", "flux_with_continuum", "flux"))
        names, published, error = (file[key] for key in ("lines", "line_flux", "line_err"))
    width = _fwhm(wave) / (1.0 + REDSHIFT)
    axis = SpectralAxis(wave, "wavelength", "air")
    line_spread = LineSpread("gaussian", fwhm_table=(wave, width))
    spectra = Spectra(flux, axis, line_spread=line_spread, redshift=np.zeros(len(flux)))
    return Arc(spectra, bare, [str(name) for name in names], published, error)


def _fwhm(rest: np.ndarray) -> np.ndarray:
    """Of the instrument, as observed, at rest wavelengths [Angstrom]."""
    return get_instrument("muse").line_spread.fwhm_angstrom(rest * (1.0 + REDSHIFT))


def arc(path: Path, templates: str | None) -> dict[str, dict[str, float]]:
    """Ours over published for each line: median, NMAD, the scatter that both errors state; and
    what needs no starlight of ours: our line fit, the same as the publication measured, a free
    Gaussian, plain sums; and beside Balmer lines what both starlights leave."""
    data = read_arc(path)
    options: dict[str, Any] = {"lines": LINES, "ties": TIES}
    result = nl.fit(data.spectra, continuum="stellar", templates=templates, keep_model=False,
                    **options)  # fmt: skip
    bare = replace(data.spectra, flux=data.bare)
    without = nl.fit(bare, continuum="window", keep_model=True, **options)
    left = starlight_off(data.spectra, {**options, "templates": templates})
    scores = {name: _line(data, name, result, without) for name in SHOWN}
    for name in BALMER:
        for whose, flux in (("ours", left), ("theirs", data.bare)):
            middle, error = rim(data, name, flux)
            scores[name] |= {f"rim, {whose}": middle, f"rim error, {whose}": error}
    model = np.asarray(without.model)
    for name, line in CHECKED.items():
        rest = float(_centres([line])[0])
        scores[name] |= profile_checks(data.wave, data.bare, model, rest)
        scores[name]["instrument"] = float(_fwhm(np.array([rest]))[0])
    return scores


def _line(data: Arc, name: str, result: Any, without: Any) -> dict[str, float]:
    parts = SHOWN[name]
    published, error = data.published(name)
    kept = np.isfinite(published)
    ours, theirs = (sum(found[f"{part}_flux"] for part in parts) for found in (result, without))
    ours_err = np.sqrt(sum(result[f"{part}_flux_err"] ** 2 for part in parts))
    ratio = (ours / published)[kept]
    sums = [summed(data, data.bare, parts, reach) / published for reach in REACH]
    scores = {
        "n": int(kept.sum()),
        "median": float(np.median(ratio)),
        "nmad": spread(ratio),
        "stated": float(np.median(np.hypot(ours_err / ours, error / published)[kept])),
        "without": float(np.nanmedian(theirs / published)),
        **{f"sum {reach:.0f}": float(np.nanmedian(s))
           for reach, s in zip(REACH, sums, strict=True)},
    }  # fmt: skip
    factor = conventions(data.wave, data.bare, np.asarray(without.model), _centres(parts))
    scores |= scored(theirs / published, factor, spread)
    if len(parts) == 1:
        flux, sigma = free_gaussian(data, parts[0])
        scores |= {"gaussian": float(np.nanmedian(flux / published)),
                   "width": float(np.median(sigma[kept]))}  # fmt: skip
    return scores


def summed(data: Arc, flux: np.ndarray, parts: Sequence[str], reach: float) -> np.ndarray:
    """Light (n,) of a line or a close doublet: the sum of the channels within ``reach``, less the
    median beside it."""
    away = np.abs(data.wave[:, None] - _centres(parts)).min(axis=1)
    beside = (away > SIDES[0]) & (away < SIDES[1])
    level = np.median(flux[:, beside], axis=1, keepdims=True)
    inside = away < reach
    return np.asarray(((flux - level)[:, inside] * np.gradient(data.wave)[inside]).sum(axis=1))


def free_gaussian(data: Arc, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Flux (n,) and sigma (n,) [Angstrom] of one Gaussian, by least squares to a line of the
    spectra without continuum, its place and width on a grid."""
    x = data.wave - _centres([name])[0]
    near = np.abs(x) < _FIT_REACH
    y = data.bare[:, near].astype(float)
    shape = np.exp(-0.5 * ((x[near] - _CENTRES[:, None, None]) / _SIGMAS[:, None]) ** 2)
    shape /= np.sqrt(2.0 * np.pi) * _SIGMAS[:, None]
    power = np.sum(shape**2, axis=-1)
    flux = np.einsum("np,csp->ncs", y, shape) / power
    gain = np.where(flux > 0, flux**2 * power, 0.0)
    centre, width = np.unravel_index(gain.reshape(len(y), -1).argmax(axis=1), power.shape)
    rows = np.arange(len(y))
    return flux[rows, centre, width], _SIGMAS[width]


def starlight_off(spectra: Spectra, options: dict[str, Any]) -> np.ndarray:
    """The spectra (n, channel) less the starlight that a fit finds."""
    from nebulines.fitting.config import FitConfig
    from nebulines.fitting.fit import fit_block, resolve
    from nebulines.galaxies.starlight.stage import fit_above_starlight

    seen: list[np.ndarray] = []

    def measure(rest: Spectra, config: FitConfig, *, with_model: bool) -> Any:
        seen.append(np.asarray(rest.flux))
        return fit_block(rest, config, with_model=with_model)

    config = resolve(spectra, FitConfig(continuum="stellar", **options))
    fit_above_starlight(spectra, config, with_model=False, measure=measure)
    return np.concatenate(seen)


def rim(data: Arc, name: str, left: np.ndarray) -> tuple[float, float]:
    """What is left beside a Balmer line over the continuum, of all spectra together, and its
    error from their scatter (which does not know what the sky leaves in all of them)."""
    away = np.abs(data.wave - _centres(SHOWN[name])[0])
    wing = (away > WING[0]) & (away < WING[1])
    flat = (away > FLAT[0]) & (away < FLAT[1])
    level = np.median(np.asarray(data.spectra.flux)[:, flat], axis=1)
    excess = left[:, wing].mean(axis=1) - np.median(left[:, flat], axis=1)
    error = 1.25 * spread(excess / level) / np.sqrt(len(level))
    return float(excess.sum() / level.sum()), float(error)


def _centres(parts: Sequence[str]) -> np.ndarray:
    return np.asarray(load_catalogue().select(list(parts)).wavelength_air)


def arc_page(scores: dict[str, dict[str, float]]) -> str:
    """The tables of the arc."""
    rows = [
        [
            name,
            row["n"],
            f"{row['median']:.3f}",
            judged(abs(row["median"] - 1.0), most=0.03),
            f"{row['nmad']:.3f}",
            judged(row["nmad"], most=0.06),
            f"{row['stated']:.3f}",
        ]
        for name, row in scores.items()
    ]
    head = ("line", "n", "ours / published", "within 3 %", "NMAD", "<= .06", "stated by errors")
    return "\n\n".join([
        "The arc in Abell 370, bins in which the published line is above 5 sigma. *stated*: both "
        "sets of errors together.", table(head, rows), published_page(scores),
        _definition_page(scores), _profile_page(scores), _rim_page(scores),
    ])  # fmt: skip


def _definition_page(scores: dict[str, dict[str, float]]) -> str:
    keys = ("without", "gaussian", *(f"sum {reach:.0f}" for reach in REACH), "width")
    rows = [[name, *(f"{row[k]:.3f}" if k in row else "-" for k in keys)]
            for name, row in scores.items()]  # fmt: skip
    head = ("line", "our line fit", "a free Gaussian", *(f"sum within {r:.0f} A" for r in REACH),
            "width of the Gaussian [A]")  # fmt: skip
    return (
        "How a line is measured: on the spectra that the publication's own continuum leaves, over "
        "the published flux. Each free Gaussian has its own place and width, nothing beside it."
        "\n\n" + table(head, rows)
    )


def _profile_page(scores: dict[str, dict[str, float]]) -> str:
    checked = {name: scores[name] for name in CHECKED}
    return profile_page(checked, {name: row["instrument"] for name, row in checked.items()})


def _rim_page(scores: dict[str, dict[str, float]]) -> str:
    rows = [[name, *(f"{100 * scores[name][f'rim, {who}']:+.1f} +- "
                     f"{100 * scores[name][f'rim error, {who}']:.1f}"
                     for who in ("ours", "theirs"))] for name in BALMER]  # fmt: skip
    return (
        f"Starlight under Balmer lines: what is left {WING[0]:g} to {WING[1]:g} A from the line, "
        "in per cent of the continuum, by our starlight and by the publication's: negative where "
        "the absorption is too shallow, positive where it is too deep or the gas has wings.\n\n"
        + table(("line", "ours", "theirs"), rows)
    )

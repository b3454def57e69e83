"""Predicted against measured H-alpha + [N II] of real galaxies that no network was trained on.

    python -m benchmarks.real_continua --data FOLDER

FOLDER holds ``atlas`` (98 nearby galaxies: Storchi-Bergmann, Calzetti & Kinney; of kcorrect,
BSD-3), ``fors2`` (VLT spectra of process_fors2, MIT), ``manga`` (of mangadap, BSD-3) and ``desi``
(of fastspecfit, BSD-3); what is missing is left out. Lines are masked before the colours are
measured. The measured width is an integral over a straight continuum; stars absorb under it, and
what they take is added back: the same integral over the starlight of those galaxies of the
population whose colours are nearest. Its error, from the scatter of the channels beside the line,
is part of the interval that is compared. How much real galaxies scatter beyond what the network
states is learned from some sets and judged on the others. Writes
``benchmarks/results/real_continua.md``, ``.json`` and a figure.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

import nebulines as nl
from benchmarks.reporting import RESULTS, save, table
from nebulines.errors import NebulinesError
from nebulines.galaxies import LINES
from nebulines.spectra import Flag
from nebulines.spectral_axis import air_to_vacuum

_BLEND = [LINES.index(name) for name in ("NII6548", "HALPHA6563", "NII6583")]
_ON, _OFF = (6520.0, 6612.0), ((6470.0, 6512.0), (6620.0, 6662.0))
_STRONG = (3728.5, 4862.7, 4960.3, 5008.2, 6564.6, 6585.3)
_MASK_KMS = 1200.0  # the atlas has 8 to 10 A resolution
EXTREME = 200.0
GRID = np.arange(3380.0, 7021.0, 2.0)
_STARS, _NEAREST = 3000, 20
_INTERVAL = [2.5, 50.0, 97.5]
_DRAWS, _ORDINARY = 400, 20_000
_SCATTERS = np.arange(0.05, 2.01, 0.05)
_ATLAS = "atlas"


class Real(NamedTuple):
    """A real spectrum in the rest frame, vacuum wavelengths."""

    name: str
    wavelength: np.ndarray
    flux: np.ndarray


def atlas(folder: Path) -> Iterator[Real]:
    """The atlas; its redshifts, all small, are found from the lines."""
    for path in sorted(folder.glob("calzetti/*.fits")):
        try:
            spectra = nl.read(path)
        except NebulinesError:
            continue
        wave = air_to_vacuum(np.asarray(spectra.axis.wavelength(), float))
        flux = np.asarray(spectra.flux[0], float)
        inside = (wave > 3300.0) & (wave < 7300.0)
        wave, flux = wave[inside], flux[inside]
        yield Real(path.stem, wave / (1.0 + small_redshift(wave, flux)), flux)


def small_redshift(wave: np.ndarray, flux: np.ndarray) -> float:
    """Redshift under 0.03 at which the strong lines stand out most."""
    width = 101
    smooth = np.convolve(np.pad(flux, width // 2, mode="edge"), np.ones(width) / width, "valid")
    excess = flux / np.maximum(smooth, 1e-30) - 1.0
    trial = np.arange(-0.001, 0.03, 2e-4)
    heights = [np.interp(np.array(_STRONG) * (1.0 + z), wave, excess).sum() for z in trial]
    return float(trial[int(np.argmax(heights))])


def fors2(folder: Path) -> Iterator[Real]:
    """VLT spectra with redshifts that cover 3400 to 7000 A."""
    path = folder / "fors2_594.npz"
    if not path.exists():
        return
    stored = np.load(path, allow_pickle=False)
    ends = stored["offset"]
    for k, z in enumerate(stored["z"]):
        part = slice(ends[k], ends[k + 1])
        flux = np.where(stored["bad"][part] != 0, np.nan, stored["flux"][part])
        air = stored["wave"][part].astype(float)
        if z > 0.0 and air[0] < 3550.0 * (1.0 + z) and air[-1] > 6850.0 * (1.0 + z):
            wave = air_to_vacuum(air)
            yield Real(f"fors2-{k}", wave / (1.0 + z), flux)


def survey(folder: Path) -> Iterator[Real]:
    """Files that nebulines reads with their redshifts."""
    for path in sorted(folder.glob("*.fits*")):
        try:
            spectra = nl.read(path)
        except NebulinesError:
            continue
        if spectra.redshift is None or not hasattr(spectra, "axis"):
            continue
        wave = np.atleast_2d(np.asarray(spectra.axis.wavelength(), float))
        wave = air_to_vacuum(wave) if spectra.axis.medium == "air" else wave
        mask = np.zeros(spectra.flux.shape, bool) if spectra.mask is None else spectra.mask
        for k, z in enumerate(spectra.redshift):
            flux = np.where(mask[k], np.nan, spectra.flux[k]).astype(float)
            if np.isfinite(z):
                yield Real(f"{path.name[:24]}-{k}", wave[k % len(wave)] / (1.0 + z), flux)


def measured_blend(real: Real) -> tuple[float, float]:
    """EW of H-alpha with [N II], by integration over a straight continuum, and its error [A]; NaN
    without."""
    wave, flux = real.wavelength, real.flux
    sides = [(wave > low) & (wave < high) & np.isfinite(flux) for low, high in _OFF]
    inside = (wave > _ON[0]) & (wave < _ON[1]) & np.isfinite(flux)
    if min(s.sum() for s in sides) < 5 or inside.sum() < 10:
        return float("nan"), float("nan")
    x = [np.mean(wave[s]) for s in sides]
    y = [np.median(flux[s]) for s in sides]
    level = np.interp(wave[inside], x, y)
    if not (level > 0).all():
        return float("nan"), float("nan")
    scatter = np.concatenate([flux[s] / m - 1.0 for s, m in zip(sides, y, strict=True)])
    step = (_ON[1] - _ON[0]) / inside.sum()
    # of the channels of the line, and of the straight line, from fewer channels
    error = np.std(scatter) * step * inside.sum() * np.sqrt(1.0 / inside.sum() + 1.0 / len(scatter))
    return float(np.trapezoid(flux[inside] / level - 1.0, wave[inside])), float(error)


def stellar_blend(colour: np.ndarray) -> np.ndarray:
    """What `measured_blend` finds in the starlight (n,) of colours (n, 11) [A, negative]."""
    from nebulines.galaxies.population.drawing import draw_population
    from nebulines.galaxies.widths.baselines import nearest_neighbours
    from nebulines.galaxies.widths.bins import bin_weights, colours

    drawn = draw_population(_STARS, [2025, 1], wavelength=(3350.0, 7050.0))
    wave = air_to_vacuum(np.asarray(drawn.wavelength_air, float))
    known = np.asarray(colours(drawn.continuum @ bin_weights(wave).astype(np.float32)))
    blend = np.array([measured_blend(Real("", wave, row))[0] for row in drawn.continuum])
    return nearest_neighbours(known, blend[:, None], k=_NEAREST)(colour)[:, 0]


def on_grid(real: Real) -> np.ndarray:
    """Flux on `GRID`; NaN where there is none."""
    good = np.isfinite(real.flux) & np.isfinite(real.wavelength)
    if good.sum() < 10:
        return np.full(len(GRID), np.nan)
    wave, flux = real.wavelength[good], real.flux[good]
    near = np.abs(GRID - wave[np.clip(np.searchsorted(wave, GRID), 0, len(wave) - 1)]) < 10.0
    return np.where(near, np.interp(GRID, wave, flux), np.nan)


class Judged(NamedTuple):
    """n galaxies with a measured width.

    Attributes:
        names: (n,).
        measured, error: (n,) H-alpha + [N II], stellar absorption added back [A].
        drawn: (draws, n) of the predicted distribution, as the network states it [A].
        flags: (n,) bits of `Flag`.
    """

    names: np.ndarray
    measured: np.ndarray
    error: np.ndarray
    drawn: np.ndarray
    flags: np.ndarray

    def within(self) -> np.ndarray:
        """Rows that carry neither NO_DATA nor OUT_OF_RANGE."""
        return (self.flags & int(Flag.NO_DATA | Flag.OUT_OF_RANGE)) == 0

    def interval(self, scatter: float) -> np.ndarray:
        """2.5, 50, 97.5 % (3, n) of prediction, added scatter of asinh EW, and measurement [A]."""
        rng = np.random.default_rng(0)
        moved = np.arcsinh(self.drawn) + scatter * rng.normal(size=self.drawn.shape)
        seen = np.sinh(moved) + self.error * rng.normal(size=moved.shape)
        return np.percentile(seen, _INTERVAL, axis=0)


def judge(spectra: list[Real], weights: Any) -> Judged:
    """Measured and predicted widths, and flags, of those that can be measured."""
    import jax
    import jax.numpy as jnp

    from nebulines.galaxies import Painter, load_predictor

    spectra = [real for real in spectra if np.isfinite(measured_blend(real)[0])]
    measured, error = np.array([measured_blend(real) for real in spectra]).T
    flux = np.stack([on_grid(real) for real in spectra])
    network = load_predictor(weights or "equivalent_width").network
    painter = Painter(GRID, network, mask_kms=_MASK_KMS)
    filled = jnp.asarray(_filled(flux), jnp.float32)
    painted = painter(filled, usable=np.isfinite(flux))
    measured = measured - stellar_blend(np.nan_to_num(np.asarray(painted.colours)))
    widths = painter.widths(filled, np.isfinite(flux))
    keys = jax.random.split(jax.random.key(0), _DRAWS)
    draw = jax.jit(jax.vmap(lambda key: widths.draw(key)[:, jnp.array(_BLEND)].sum(axis=1)))
    names = np.array([real.name for real in spectra])
    return Judged(names, measured, error, np.asarray(draw(keys), float), np.asarray(painted.flags))


def likeliest_scatter(sets: list[Judged]) -> float:
    """Scatter of asinh EW, beyond what the network states, of largest likelihood for the unflagged
    galaxies of some sets."""
    rng = np.random.default_rng(1)
    seen, drawn = [], []
    for one in sets:
        good = one.within()
        seen.append(np.arcsinh(one.measured[good]))
        noise = one.error * rng.normal(size=one.drawn.shape)
        drawn.append(np.arcsinh(one.drawn + noise)[:, good])
    off = np.concatenate(seen) - np.concatenate(drawn, axis=1)
    total = [np.log(np.mean(np.exp(-0.5 * (off / s) ** 2) / s, axis=0) + 1e-300).sum()
             for s in _SCATTERS]  # fmt: skip
    return float(_SCATTERS[int(np.argmax(total))])


def flagged_share(weights: Any) -> float:
    """Share of the population's galaxies, none of them learned from, that are out of range."""
    from nebulines.galaxies import load_predictor
    from nebulines.galaxies.widths.samples import TEST, draw_sample

    network = load_predictor(weights or "equivalent_width").network
    colours = draw_sample(_ORDINARY, 1, TEST).galaxies.colours
    return float(np.mean(network.support.outside(colours, network.median(colours))))


def _filled(flux: np.ndarray) -> np.ndarray:
    """Missing channels at the median, so that straight lines over masked lines are finite."""
    middle = np.nanmedian(np.where(np.isfinite(flux), flux, np.nan), axis=1, keepdims=True)
    return np.where(np.isfinite(flux), flux, np.nan_to_num(middle, nan=1.0))


def summary(one: Judged, scatter: float) -> dict[str, float]:
    """Rank correlation, how many lie outside of the 95 % interval, and extremes, by counts.

    Args:
        one: a set.
        scatter: added, learned from other sets.
    """
    from scipy.stats import spearmanr

    good, extreme = one.within(), one.measured > EXTREME
    measured = one.measured[good]
    stated, wide = one.interval(0.0)[:, good], one.interval(scatter)[:, good]
    return {
        "galaxies": len(good),
        "no data": int((one.flags & int(Flag.NO_DATA) != 0).sum()),
        "out of range": int((one.flags & int(Flag.OUT_OF_RANGE) != 0).sum()),
        "judged": int(good.sum()),
        "spearman of those": float(spearmanr(measured, stated[1]).statistic),
        "spearman of all with data": _rank(one),
        "median of predicted - measured [A]": float(np.median(stated[1] - measured)),
        "overpredicted beyond the network's 95 %": int((measured < stated[0]).sum()),
        "underpredicted beyond it": int((measured > stated[2]).sum()),
        "scatter of asinh EW learned from the others": scatter,
        "overpredicted beyond 95 % with it": int((measured < wide[0]).sum()),
        "underpredicted beyond it, with it": int((measured > wide[2]).sum()),
        f"EW above {EXTREME:.0f} A": int(extreme.sum()),
        "of these flagged": int((extreme & ~good).sum()),
    }


def _rank(one: Judged) -> float:
    """Rank correlation of every galaxy that has a prediction, flagged or not."""
    from scipy.stats import spearmanr

    known = one.flags & int(Flag.NO_DATA) == 0
    middle = np.median(one.drawn, axis=0)
    return float(spearmanr(one.measured[known], middle[known]).statistic)


def overpredicted(name: str, one: Judged) -> list[list[str]]:
    """Rows of the galaxies below the network's own interval, flagged or not."""
    low, middle, _ = one.interval(0.0)
    rows = []
    for k in np.flatnonzero((one.measured < low) & (one.flags & int(Flag.NO_DATA) == 0)):
        flag = "yes" if one.flags[k] & int(Flag.OUT_OF_RANGE) else "**no**"
        rows.append([name, one.names[k], f"{one.measured[k]:.1f} ± {one.error[k]:.1f}",
                     f"{middle[k]:.1f}", f"{low[k]:.1f}", flag])  # fmt: skip
    return rows


def draw(found: dict[str, Judged], scatters: dict[str, float], path: Path) -> None:
    """Predicted with 95 % interval against measured, one panel a set."""
    from nebulines.plots.judgement import new_figure
    from nebulines.plots.style import DATA_COLOUR, FIT_COLOUR, LINE_COLOUR, save_figure

    figure, axes = new_figure(3.0 * len(found), 3.0, 1, len(found), left=0.08, right=0.98,
                              top=0.9, bottom=0.14, wspace=0.25)  # fmt: skip
    ticks = (-10, -1, 0, 1, 10, 100, 1000)
    for (name, one), ax in zip(found.items(), axes[0], strict=True):
        data = one.flags & int(Flag.NO_DATA) == 0
        low, middle, high = np.arcsinh(one.interval(scatters[name]))
        for part, colour, label in ((data & ~one.within(), FIT_COLOUR, "out of range"),
                                    (one.within(), DATA_COLOUR, "within")):  # fmt: skip
            x, y = np.arcsinh(one.measured[part]), middle[part]
            ax.errorbar(x, y, [y - low[part], high[part] - y], fmt="o", ms=2, lw=0.4,
                        color=colour, label=label)  # fmt: skip
        ax.plot([-3, 7], [-3, 7], color=LINE_COLOUR, lw=0.8)
        ax.set(title=name, xlim=(-3, 7.2), ylim=(-3, 7.2), xlabel="measured Hα + [N II] EW [Å]")
        ax.set_xticks(np.arcsinh(ticks), ticks)
        ax.set_yticks(np.arcsinh(ticks), ticks)
    axes[0, 0].set_ylabel("predicted, 95 % interval [Å]")
    axes[0, 0].legend(loc="lower right", fontsize=6)
    save_figure(figure, path, formats=("png",))


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Real spectra.")
@click.option("--weights", type=click.Path(path_type=Path), help="[the package's]")
def main(data: Path, weights: Path | None) -> None:
    """Measure and write to benchmarks/results."""
    sets = {
        _ATLAS: list(atlas(data / "atlas")),
        "VLT/FORS2": list(fors2(data / "fors2")),
        "MaNGA and DESI": [*survey(data / "manga"), *survey(data / "desi")],
    }
    found = {name: judge(spectra, weights) for name, spectra in sets.items() if spectra}
    other = [one for name, one in found.items() if name != _ATLAS]
    of_other, of_atlas = likeliest_scatter(other), likeliest_scatter([found[_ATLAS]])
    scatters = {name: of_other if name == _ATLAS else of_atlas for name in found}
    results: dict[str, Any] = {name: summary(one, scatters[name]) for name, one in found.items()}
    draw(found, scatters, RESULTS / "real_continua")
    ordinary = flagged_share(weights)
    body = page(results, [row for pair in found.items() for row in overpredicted(*pair)], ordinary)
    record = {"sets": results, "ordinary galaxies flagged": ordinary,
              "scatter learned from all but the atlas": of_other}  # fmt: skip
    save("real_continua", "Real galaxies: H-alpha + [N II] from the continuum", record, body)
    click.echo(body)


def page(results: dict[str, Any], rows: list[list[str]], ordinary: float) -> str:
    """What was found, in words, tables and the figure."""
    sums = {key: sum(one[key] for one in results.values())
            for key in ("judged", "overpredicted beyond the network's 95 %",
                        "overpredicted beyond 95 % with it", f"EW above {EXTREME:.0f} A",
                        "of these flagged")}  # fmt: skip
    judged, beyond, wide, extreme, flagged = sums.values()
    text = (
        f"Of {judged} galaxies that carry no flag {beyond} are overpredicted beyond the network's "
        f"own 95 % interval (2.5 %, {0.025 * judged:.1f} of them, are expected there), {wide} "
        f"beyond the interval with the scatter that real galaxies add. Of {extreme} galaxies with "
        f"more than {EXTREME:.0f} A {flagged} are flagged. Of the population's own galaxies "
        f"{ordinary:.1%} are. The scatter of a set was learned from the other ones: the atlas is "
        "judged with that of VLT/FORS2, MaNGA and DESI, which `paint` adds where lines are masked "
        "(`model_scatter`), and these with that of the atlas."
    )
    keys = list(next(iter(results.values())))
    counts = [[key, *(f"{one[key]:.3g}" for one in results.values())] for key in keys]
    parts = [
        text,
        table(["", *results], counts),
        "Galaxies overpredicted beyond the network's own interval, with what was made of them:",
        table(["set", "galaxy", "measured [A]", "predicted", "2.5 %", "flagged"], rows),
        "![real galaxies](real_continua.png)",
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    from nebulines.runtime import configure

    configure()
    main()

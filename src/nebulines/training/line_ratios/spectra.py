"""The mock spectra of Rhea et al. 2021: SN1, SN2 and SN3 of one object, with its line ratios.

R 800-1000 in SN1 and SN2 and 4800-5000 in SN3, velocity within 200 km/s, broadening 10 to 50
km/s, S/N of H-alpha 5 to 30. In the other bands an unresolved line of the flux of H-alpha has
the same S/N, as in the paper, whose spectra have relative amplitudes and one noise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.instruments import Instrument, get_instrument
from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import LineCatalogue, load_catalogue, load_ties
from nebulines.networks.line_ratios.space import LINES
from nebulines.spectra import Spectra
from nebulines.synthetic.rendering import BLOCK, Kinematics, LineRenderer
from nebulines.training.line_ratios.priors import PAPER, draw_sources, reddened

BANDS = ("sitelle-sn1", "sitelle-sn2", "sitelle-sn3")
RESOLUTION = {"sitelle-sn1": 1000.0, "sitelle-sn2": 1000.0, "sitelle-sn3": 5000.0}
"""Largest R; the smallest is 200 below."""
RESOLUTION_RANGE = 200.0
VELOCITY, BROADENING, SNR = (-200.0, 200.0), (10.0, 50.0), (5.0, 30.0)
SEEN = {
    "sitelle-sn1": ("OII3726", "OII3729"),
    "sitelle-sn2": ("HBETA4861", "OIII4959", "OIII5007"),
    "sitelle-sn3": ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731"),
}
"""Lines of each band."""


class Objects(NamedTuple):
    """n objects in three bands.

    Attributes:
        truth: name -> (n,): ``velocity``, ``broadening`` [km/s], ``snr``, ``ebv``,
            ``decrement`` (Ha/Hb before dust) and ``NAME_flux`` of every line.
        bands: `Spectra` of SN1, SN2 and SN3.
    """

    truth: dict[str, np.ndarray]
    bands: tuple[Spectra, ...]


def paper_objects(
    n: int,
    seed: int,
    *,
    kind: str = PAPER,
    snr: tuple[float, float] = SNR,
    noise: bool = True,
    **fixed: Any,
) -> Objects:
    """Spectra of n objects in the three bands.

    Args:
        n: number of objects.
        seed: of the random numbers.
        kind: of nebulae, see `line_ratio_priors.draw_sources`; the paper's by default.
        snr: range of the S/N of the peak of H-alpha.
        noise: False leaves it out of the flux; the variance states it all the same.
        **fixed: ``ebv``, one value [mag] in place of the drawn ones.

    Example:
        >>> objects = paper_objects(2, 1)
        >>> [spectra.axis.n_channels for spectra in objects.bands]
        [171, 219, 842]
    """
    sources = draw_sources(kind, n, (seed, 7))
    if "ebv" in fixed:
        sources = sources._replace(ebv=np.full(n, float(fixed["ebv"])))
    generator = np.random.default_rng((seed, 8))
    truth = {
        "velocity": generator.uniform(*VELOCITY, n),
        "broadening": generator.uniform(*BROADENING, n),
        "snr": generator.uniform(*snr, n),
        "ebv": sources.ebv,
        "decrement": 1.0 / sources.flux[:, LINES.index("HBETA4861")],
    }
    flux = with_partners(dict(zip(LINES, reddened(sources).T, strict=True)))
    truth |= {f"{name}_flux": values for name, values in flux.items()}
    views = [_View.of(name, n, generator) for name in BANDS]
    lines = [view.lines(truth) for view in views]
    sigma = views[-1].peak(lines[-1]) / truth["snr"] / views[-1].unresolved
    bands = [
        view.spectra(shown, sigma * view.unresolved, generator if noise else None)
        for view, shown in zip(views, lines, strict=True)
    ]
    return Objects(truth, tuple(bands))


def with_partners(flux: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Fluxes with the weak lines of fixed ratio.

    Example:
        >>> sorted(with_partners({"NII6583": np.ones(1)}))
        ['NII6548', 'NII6583']
    """
    ties = {tie.weak: flux[tie.strong] / tie.ratio for tie in load_ties() if tie.strong in flux}
    return ties | flux


class _View(NamedTuple):
    """One band as n objects are seen in it; ``unresolved`` (n,) is the peak of a line of unit
    flux and no width."""

    row: Instrument
    spread: LineSpread
    catalogue: LineCatalogue
    renderer: LineRenderer
    unresolved: np.ndarray

    @classmethod
    def of(cls, name: str, n: int, generator: np.random.Generator) -> _View:
        row = get_instrument(name)
        top = RESOLUTION[name]
        spread = row.line_spread_at(generator.uniform(top - RESOLUTION_RANGE, top, n))
        catalogue = load_catalogue().select(SEEN[name])
        renderer = LineRenderer(row.axis_for(), catalogue, spread)
        narrow = Kinematics(np.zeros(n), np.zeros(n), np.ones((n, len(catalogue))))
        peaks = _rendered(renderer, narrow, n)[1]
        return cls(row, spread, catalogue, renderer, peaks[:, len(catalogue) // 2])

    def lines(self, truth: dict[str, np.ndarray]) -> Kinematics:
        fluxes = np.stack([truth[f"{name}_flux"] for name in self.catalogue.names], axis=1)
        return Kinematics(truth["velocity"], truth["broadening"], fluxes)

    def peak(self, lines: Kinematics) -> np.ndarray:
        """Peak (n,) of H-alpha."""
        heights = _rendered(self.renderer, lines, len(lines.velocity))[1]
        return heights[:, self.catalogue.names.index("HALPHA6563")]

    def spectra(
        self, lines: Kinematics, sigma: np.ndarray, generator: np.random.Generator | None
    ) -> Spectra:
        n = len(sigma)
        flux = _rendered(self.renderer, lines, n)[0]
        if generator is not None:
            noise = generator.standard_normal(flux.shape, np.float32)
            flux += noise * sigma.astype(np.float32)[:, None]
        return Spectra(
            flux,
            self.renderer.axis,
            variance=np.broadcast_to((sigma**2).astype(np.float32)[:, None], flux.shape),
            line_spread=self.spread,
            redshift=np.zeros(n),
            instrument=self.row.name,
            unit=self.row.unit,
        )


def _rendered(renderer: LineRenderer, lines: Kinematics, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise-free spectra (n, channel) and peaks (n, L)."""
    blocks = [np.arange(i, min(i + BLOCK, n)) for i in range(0, n, BLOCK)]
    parts = [renderer.render(rows, lines) for rows in blocks]
    flux, peaks = (np.concatenate(part) for part in zip(*parts, strict=True))
    return flux, peaks.astype(float)

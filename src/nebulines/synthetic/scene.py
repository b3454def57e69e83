"""A galaxy for mock cubes: what every spaxel shows, computed for any rectangle of the field.

A rotating disc of diffuse gas, H II regions with line ratios of their own, expanding shells
that show two velocity components, dust, and foreground stars. Everything is drawn from a seed
when the scene is made and evaluated on demand, so that a field of any size can be written
block by block. Lines of every band are drawn, whichever of them a cube shows, so that the same
seed is the same field in every band of an instrument.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nebulines.errors import UsageError
from nebulines.lines import load_catalogue
from nebulines.spectra.cube import Block
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.line_priors import draw_lines, prior_broadening
from nebulines.synthetic.rendering import Kinematics
from nebulines.synthetic.spaxels import Place, Spaxels, Spots

_SPAXELS_PER_REGION = 150
_MAX_REGIONS = 4000
_REGION_RADIUS = (0.004, 0.02)  # 1-sigma in units of the field's smaller side
_REACH = 4.0  # regions are followed to this many sigma
_REGION_BRIGHTNESS = 1.5  # power of the luminosity function
_MIN_SHELL_KMS = 15.0
_N_SHELLS, _N_STARS = 4, 12
_SHELL_RADIUS = (0.05, 0.12)
_SHELL_EXPANSION = (30.0, 70.0)
_SHELL_NEAR_SIDE = 0.55
_STAR_RADIUS = 0.006
_STAR_LEVEL = (1.0, 20.0)
_SCALE_LENGTH = 0.35
_TURNOVER = 0.12
_DEFAULT_PRIOR = "hii"
_N_WAVES = 14
_REFERENCE = "HALPHA6563"


class Galaxy:
    """A rotating galaxy that fills the field.

    The S/N of the H-alpha peak goes from ``snr[0]`` in the faintest parts of the disc to
    ``snr[1]`` in its brightest regions, as the logarithm of the brightness; velocity covers
    about ``config.velocity``, broadening ``config.broadening``.

    Args:
        shape: (ny, nx).
        names: the lines to show. The same seed gives the same field whatever they are.
        config: ranges of velocity, broadening, S/N, dust and continuum; the prior of the H II
            regions (``uniform`` stands for ``hii``).
        seed: of the random generator.

    Example:
        >>> galaxy = Galaxy((20, 30), ("HALPHA6563", "NII6583"), SimulationConfig(), seed=1)
        >>> galaxy.spaxels(Block(0, 2, 0, 30)).first.fluxes.shape
        (60, 2)
    """

    def __init__(
        self, shape: tuple[int, int], names: tuple[str, ...], config: SimulationConfig, seed: int
    ) -> None:
        if min(shape) < 1:
            raise UsageError(f"a field has at least one spaxel, not {shape}")
        self.shape, self.config = shape, config
        own = load_catalogue().defaults().names
        self._all = (*own, *(name for name in names if name not in own))
        self._shown = [self._all.index(name) for name in names]
        self._line = self._all.index(_REFERENCE)
        self._size = float(min(shape))
        generator = np.random.default_rng(seed)
        regions, shells, gas = generator.spawn(3)
        self._angle, self._inclination = generator.uniform([0, 0.4], [2 * np.pi, 1.1])
        n = int(np.clip(shape[0] * shape[1] / _SPAXELS_PER_REGION, 3, _MAX_REGIONS))
        brightness = 0.3 * generator.pareto(_REGION_BRIGHTNESS, n) + 0.3
        self._regions = self._spots(generator, n, _REGION_RADIUS, np.minimum(brightness, 30.0))
        self._drift = generator.normal(0.0, 5.0, n)
        prior = _DEFAULT_PRIOR if config.prior == "uniform" else config.prior
        self._region_lines = self._draw(regions, prior, n)
        expansion = generator.uniform(*_SHELL_EXPANSION, _N_SHELLS)
        self._shells = self._spots(generator, _N_SHELLS, _SHELL_RADIUS, expansion)
        self._shell_lines = self._draw(shells, "shock", _N_SHELLS)
        self._gas_lines = self._draw(gas, "dig", 64).mean(axis=0)
        low, high = np.log(_STAR_LEVEL)
        level = np.exp(generator.uniform(low, high, _N_STARS))
        self._stars = self._spots(generator, _N_STARS, (_STAR_RADIUS, 2 * _STAR_RADIUS), level)
        self._waves = generator.uniform(0.0, 2 * np.pi, (_N_WAVES, 2))
        self._brightness = self._limits()

    def spaxels(self, block: Block) -> Spaxels:
        """What the spaxels of a block show, row by row."""
        y, x = (a.ravel().astype(float) for a in np.mgrid[block.y0 : block.y1, block.x0 : block.x1])
        radius, velocity = self._rotation(y, x)
        ebv = self._dust(y, x, radius)
        lines, drift, share = self._emission(block, y, x, radius)
        left = self._left(ebv)
        bright = lines[:, self._line] * left[:, self._line]
        widths = self.config.broadening or prior_broadening(self.config.prior)
        warm = 0.5 + 0.5 * np.sin(3.0 * radius + self._waves[0, 0])
        broadening = widths[0] + (widths[1] - widths[0]) * (0.15 + 0.7 * (1.0 - share) * warm)
        fluxes = lines * left
        first = Kinematics(velocity + drift, broadening, fluxes)
        first, second, region = self._expand(block, y, x, first)
        disc = np.where(share > 0.5, Place.HII_REGION, Place.DIFFUSE_GAS)
        region = np.where(region == Place.SHELL, region, disc)
        first, second = self._relative(first, second)
        level = self._level(block, y, x, radius)
        return Spaxels(first, second, self._snr(bright), level, ebv, region, np.ones(len(y), bool))

    def _draw(self, generator: np.random.Generator, prior: str, n: int) -> np.ndarray:
        """Fluxes (n, all lines) relative to H-alpha; a user's table is asked for the lines shown
        only."""
        ratios = None if prior in ("shock", "dig") else self.config.ratios
        if not Path(prior).is_file():
            return draw_lines(generator, prior, self._all, n, ratios).fluxes
        fluxes = np.zeros((n, len(self._all)))
        fluxes[:, self._line] = 1.0
        names = [self._all[k] for k in self._shown]
        fluxes[:, self._shown] = draw_lines(generator, prior, names, n, ratios).fluxes
        return fluxes

    def _relative(self, first: Kinematics, second: Kinematics) -> tuple[Kinematics, Kinematics]:
        """Fluxes of the lines shown, relative to H-alpha of the first component."""
        scale = 1.0 / first.fluxes[:, self._line, None]
        first = first._replace(fluxes=first.fluxes[:, self._shown] * scale)
        return first, second._replace(fluxes=second.fluxes[:, self._shown] * scale)

    def _spots(
        self,
        generator: np.random.Generator,
        n: int,
        radius: tuple[float, float],
        strength: np.ndarray,
    ) -> Spots:
        ny, nx = self.shape
        y, x = generator.uniform(0, ny, n), generator.uniform(0, nx, n)
        size = np.maximum(generator.uniform(*radius, n) * self._size, 0.7)
        return Spots(y, x, size, strength)

    def _rotation(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Radius in the disc [smaller sides of the field] and line-of-sight velocity."""
        v, u = (y - 0.5 * self.shape[0]) / self._size, (x - 0.5 * self.shape[1]) / self._size
        along = u * np.cos(self._angle) + v * np.sin(self._angle)
        across = (v * np.cos(self._angle) - u * np.sin(self._angle)) / np.cos(self._inclination)
        radius = np.hypot(along, across)
        low, high = self.config.velocity
        turn = np.tanh(radius / _TURNOVER) * along / np.maximum(radius, 1e-9)
        return radius, 0.5 * (low + high) + 0.5 * (high - low) * turn

    def _ripple(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Smooth structure between 0 and 1: plane waves of many directions and lengths."""
        total = np.zeros_like(y)
        for k, (phase, angle) in enumerate(self._waves):
            number = 2.0 * np.pi * (1.0 + 0.7 * k) / self._size
            wave = np.sin(number * (y * np.sin(angle) + x * np.cos(angle)) + phase)
            total += wave / np.sqrt(1.0 + k)
        return 0.5 + 0.5 * np.tanh(0.8 * total)

    def _dust(self, y: np.ndarray, x: np.ndarray, radius: np.ndarray) -> np.ndarray:
        low, high = self.config.ebv
        return low + (high - low) * self._ripple(x, y) * np.exp(-radius)

    def _left(self, ebv: np.ndarray) -> np.ndarray:
        """Share of each line that the dust lets through, (k, L)."""
        from nebulines.models.dust import transmission

        if not ebv.any():
            return np.ones((len(ebv), len(self._all)))
        wave = load_catalogue().select(self._all).wavelength_vacuum
        return transmission(wave, ebv, self.config.extinction, rv=self.config.rv)

    def _emission(
        self, block: Block, y: np.ndarray, x: np.ndarray, radius: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fluxes (k, L), velocity of the H II regions within the disc and their share."""
        gas = 0.15 * np.exp(-radius / _SCALE_LENGTH) * (0.3 + self._ripple(y, x))
        lines = gas[:, None] * self._gas_lines
        drift, regions = np.zeros_like(y), np.zeros_like(y)
        for k in self._regions.near(block, _REACH):
            profile = self._regions.profile(k, y, x) * np.exp(-radius / _SCALE_LENGTH)
            lines += profile[:, None] * self._region_lines[k]
            drift += profile * self._drift[k]
            regions += profile
        share = regions / (regions + gas)
        return lines, drift / (regions + gas), share

    def _expand(
        self, block: Block, y: np.ndarray, x: np.ndarray, first: Kinematics
    ) -> tuple[Kinematics, Kinematics, np.ndarray]:
        """Split the spaxels inside shells into a near and a far side."""
        region, far = np.zeros(len(y), int), np.full(len(y), np.nan)
        velocity, fluxes = first.velocity.copy(), first.fluxes.copy()
        second = np.zeros_like(fluxes)
        for k in self._shells.near(block, 1.0):
            away = np.hypot(y - self._shells.y[k], x - self._shells.x[k]) / self._shells.radius[k]
            speed = self._shells.strength[k] * np.sqrt(np.maximum(1.0 - away**2, 0.0))
            here = (speed > _MIN_SHELL_KMS) & np.isnan(far)
            lines = first.fluxes[here, self._line, None] * self._shell_lines[k]
            fluxes[here], second[here] = _SHELL_NEAR_SIDE * lines, (1 - _SHELL_NEAR_SIDE) * lines
            velocity[here] = first.velocity[here] - speed[here]
            far[here], region[here] = first.velocity[here] + speed[here], Place.SHELL
        width = np.where(np.isfinite(far), first.broadening, np.nan)
        return (
            Kinematics(velocity, first.broadening, fluxes),
            Kinematics(far, width, second),
            region,
        )

    def _level(self, block: Block, y: np.ndarray, x: np.ndarray, radius: np.ndarray) -> np.ndarray:
        """Continuum over the line's peak: the disc's, and that of foreground stars."""
        low, high = self.config.continuum
        level = low + (high - low) * np.exp(-radius / _SCALE_LENGTH)
        for k in self._stars.near(block, _REACH):
            level = level + self._stars.profile(k, y, x)
        return level

    def _limits(self) -> tuple[float, float]:
        """Logarithms of the faintest and brightest parts, from a coarse grid."""
        ny, nx = self.shape
        rows = np.unique(np.linspace(0, ny - 1, min(ny, 64)).astype(int))
        bright = []
        for row in rows:
            block = Block(int(row), int(row) + 1, 0, nx)
            y, x = np.full(nx, float(row)), np.arange(nx, dtype=float)
            radius, _ = self._rotation(y, x)
            left = self._left(self._dust(y, x, radius))[:, self._line]
            bright.append(self._emission(block, y, x, radius)[0][:, self._line] * left)
        low, high = np.log(np.percentile(np.concatenate(bright), [2.0, 99.8]))
        return float(low), float(max(high, low + 1e-6))

    def _snr(self, bright: np.ndarray) -> np.ndarray:
        low, high = self._brightness
        share = np.clip((np.log(bright) - low) / (high - low), 0.0, 1.0)
        return self.config.snr[0] + share * (self.config.snr[1] - self.config.snr[0])

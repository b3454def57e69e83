"""The posteriors of line ratios as columns, from measured fluxes: the network ``line_ratios``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nebulines.cubes.network.line_fluxes import LineFluxes, halpha_snr, scaled
from nebulines.errors import UsageError
from nebulines.fitting.tiles import as_slice, map_tiles, tile_indices
from nebulines.models.dust import transmission
from nebulines.networks.line_ratios.answer import EBV, RATIOS, TILE_ROWS, answer
from nebulines.networks.line_ratios.levels import LevelNodes, level_nodes
from nebulines.networks.line_ratios.network import PRIORS
from nebulines.networks.line_ratios.space import LINES
from nebulines.networks.weights import Pretrained, load
from nebulines.spectra import Flag

CALL_ROWS = 1024
"""Objects read in one call of the compiled network."""
SLAB_ROWS = 2048
"""Objects whose columns are made at once: few enough for all cores, and for their fast memory."""
DETECTED = 4.0
"""S/N of both lines from which a ratio can be told to lie outside what was trained on."""
OUTSIDE_SIGMAS = 4.0
_SUMS = {"SII": ("SII6716", "SII6731"), "OII": ("OII3726", "OII3729")}

Columns = tuple[dict[str, np.ndarray], np.ndarray]
"""Name -> (n,), and flag bits (n,)."""


def reported_ratios(shown: np.ndarray) -> tuple[str, ...]:
    """Ratios whose lines are all shown, and E(B-V) where H-alpha and H-beta are.

    Example:
        >>> reported_ratios(np.array([name == "HALPHA6563" for name in LINES]))
        ()
    """
    seen = {name for name, there in zip(LINES, shown, strict=True) if there}
    seen |= {total for total, parts in _SUMS.items() if seen.issuperset(parts)}
    names = tuple(ratio for ratio in RATIOS if seen.issuperset(ratio.split("/")))
    return (*names, EBV) if {"HALPHA6563", "HBETA4861"} <= seen else names


def check_prior(prior: str) -> None:
    """Refuse a kind of nebulae that the network was not told of.

    Raises:
        UsageError: it is none of `nebulines.networks.line_ratios.network.PRIORS`.
    """
    if prior not in PRIORS:
        raise UsageError(f"no prior {prior!r} for line ratios: choose one of {', '.join(PRIORS)}")


def ratio_columns(
    fluxes: LineFluxes, *, prior: str = "mixed", network: Pretrained | None = None
) -> Columns:
    """The posterior of every ratio as columns, and flags.

    ``ratio_A_B`` is the posterior's median and ``ratio_A_B_err`` half of its central 68 %
    interval; ``log_ratio_A_B_q16`` (``q50``, ``q84``) are quantiles of log10; ``ebv`` is the
    colour excess [mag] for the law CCM89 with R_V 3.1. A line that is not detected gives a
    limit, in the shape of a wide posterior.

    Args:
        fluxes: measured.
        prior: kind of nebulae, one of `nebulines.networks.line_ratios.network.PRIORS`.
        network: None = the shipped ``line_ratios``.

    Returns:
        Name -> (n,), and bits (n,): ``OUT_OF_RANGE`` where a measured ratio is none that the
        network was trained on.

    Raises:
        UsageError: an unknown prior.
    """
    reader = RatioReader.of(fluxes.shown, prior=prior, network=network)
    return map_slabs(lambda rows: reader.read(fluxes.rows(rows)), len(fluxes.value))


def map_slabs(work: Callable[[slice], Columns], n: int) -> Columns:
    """Columns and flags of n objects, `SLAB_ROWS` at a time on each core."""
    starts = range(0, n, SLAB_ROWS)
    columns, flags = zip(
        *map_tiles(work, [slice(at, min(at + SLAB_ROWS, n)) for at in starts]), strict=True
    )
    whole = {name: np.concatenate([piece[name] for piece in columns]) for name in columns[0]}
    return whole, np.concatenate(flags)


@dataclass(frozen=True)
class RatioReader:
    """The network, told what the objects are, for any number of them.

    Attributes:
        network: with its card.
        prior: kind of nebulae.
        names: ratios that are reported.
        nodes: levels at which their posteriors are read.
    """

    network: Pretrained
    prior: str
    names: tuple[str, ...]
    nodes: LevelNodes | None

    @classmethod
    def of(
        cls, shown: np.ndarray, *, prior: str = "mixed", network: Pretrained | None = None
    ) -> RatioReader:
        """For bands that show some of `LINES`, shown (8,).

        Raises:
            UsageError: an unknown prior.

        Example:
            >>> RatioReader.of(np.arange(8) > 4).names[-1]
            'SII6731/HALPHA6563'
        """
        check_prior(prior)
        network = network or load("line_ratios")
        names = reported_ratios(shown)
        nodes = level_nodes(network.card, prior, names) if names else None
        return cls(network, prior, names, nodes)

    def read(self, fluxes: LineFluxes) -> Columns:
        """Columns and flags of n objects, as of `ratio_columns`, on one core."""
        n = len(fluxes.value)
        if self.nodes is None:
            return {}, np.zeros(n, np.int64)
        calls = [
            self._call(fluxes.rows(as_slice(rows)), min(n - k * CALL_ROWS, CALL_ROWS))
            for k, rows in enumerate(tile_indices(n, CALL_ROWS))
        ]
        low, middle, high = (np.concatenate(part) for part in zip(*calls, strict=True))
        ranges = self.network.card["trained_ranges"]["log_ratio"][self.prior]
        strange = out_of_range(fluxes, ranges)
        return self._columns(low, middle, high), np.where(strange, int(Flag.OUT_OF_RANGE), 0)

    def _call(self, fluxes: LineFluxes, n: int) -> tuple[np.ndarray, ...]:
        """Quantiles (n, m) of the first n of `CALL_ROWS` objects."""
        assert self.nodes is not None
        value, covariance = (np.asarray(part, np.float32) for part in scaled(fluxes))
        levels = self.nodes.at(halpha_snr(fluxes)).astype(np.float32)
        kind = np.int32(PRIORS.index(self.prior))
        found = answer(
            self.network.network, value, covariance, fluxes.present, kind, self.names,
            decrement_per_ebv(), levels, -(-n // TILE_ROWS),
        )  # fmt: skip
        return tuple(np.asarray(part, float)[:n] for part in found[:3])

    def _columns(
        self, low: np.ndarray, middle: np.ndarray, high: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Columns of quantiles (n, m)."""
        columns: dict[str, np.ndarray] = {}
        ratio, half = _ratios_of(low, middle, high)
        for k, name in enumerate(self.names):
            if name == EBV:
                columns[EBV] = middle[:, k]
                columns[f"{EBV}_err"] = 0.5 * (high[:, k] - low[:, k])
                continue
            label = name.replace("/", "_")
            columns[f"ratio_{label}"] = ratio[:, k]
            columns[f"ratio_{label}_err"] = half[:, k]
            for level, values in (("q16", low), ("q50", middle), ("q84", high)):
                columns[f"log_ratio_{label}_{level}"] = values[:, k]
        return columns


def _ratios_of(low: np.ndarray, middle: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, ...]:
    """Ratios (n, m) and half of their central intervals, of quantiles of their log10."""
    below, ratio, above = (np.exp(np.log(10.0) * part) for part in (low, middle, high))
    return ratio, 0.5 * (above - below)


def out_of_range(fluxes: LineFluxes, ranges: Mapping[str, Sequence[float]]) -> np.ndarray:
    """(n,) bool: a ratio of detected lines lies `OUTSIDE_SIGMAS` beyond what was trained on.

    Args:
        fluxes: measured.
        ranges: ratio -> (low, high) of its log10.
    """
    strange = np.zeros(len(fluxes.value), bool)
    logs = {part: _logarithm(fluxes, _places(part)) for ratio in ranges for part in _halves(ratio)}
    for ratio, (low, high) in ranges.items():
        top, bottom = _halves(ratio)
        (log_a, error_a), (log_b, error_b) = logs[top], logs[bottom]
        with np.errstate(invalid="ignore"):
            sure = (error_a < _SURE_DEX) & (error_b < _SURE_DEX)
            away = OUTSIDE_SIGMAS * np.hypot(error_a, error_b)
            ratio_log = log_a - log_b
            strange |= sure & ((ratio_log < low - away) | (ratio_log > high + away))
    return strange


_SURE_DEX = 1.0 / (np.log(10.0) * DETECTED)


def _halves(ratio: str) -> list[str]:
    return ratio.split("/")


def _places(name: str) -> list[int]:
    """Where the lines of a sum, or a single line, are in `LINES`."""
    return [LINES.index(line) for line in _SUMS.get(name, (name,))]


def _logarithm(fluxes: LineFluxes, lines: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """log10 (n,) of the sum of some lines and its error; NaN where one was not measured or the
    sum is not positive."""
    # one term after another: a product of matrices would wake all cores for a few numbers
    total = functools.reduce(np.add, (fluxes.value[:, i] for i in lines))
    variance = functools.reduce(np.add, (fluxes.covariance[:, i, j] for i in lines for j in lines))
    good = (total > 0) & fluxes.present[:, lines].all(axis=1)
    safe = np.where(good, total, 1.0)
    log = np.where(good, np.log10(safe), np.nan)
    error = np.where(good, np.sqrt(np.maximum(variance, 0.0)) / safe / np.log(10.0), np.nan)
    return log, error


@functools.lru_cache
def decrement_per_ebv() -> float:
    """Change of log10 of Ha/Hb with E(B-V) [1/mag], CCM89 with R_V 3.1."""
    from nebulines.lines import load_catalogue

    lines = load_catalogue().select(["HALPHA6563", "HBETA4861"]).wavelength_vacuum
    red, blue = transmission(lines, 1.0)
    return float(np.log10(red / blue))

"""Spectra that a network was not trained for: does a method know that it does not know?

Each case is drawn from the held-out stream of seeds. An answer is safe where it carries a flag
of `DISTRUSTED` or of a second component, or where velocity and broadening both lie within three
stated errors of the truth. In range, any such flag is a false one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from nebulines.evaluation.held_out import FIVE_LINES, held_out_seed
from nebulines.evaluation.methods import QUANTITIES, Measured, Method
from nebulines.evaluation.summary import DISTRUSTED
from nebulines.spectra import Flag, Spectra
from nebulines.synthetic import simulate

WARNED = DISTRUSTED | Flag.SECOND_COMPONENT | Flag.OUTLIER_CHANNEL
"""Flags that warn a user of an answer that is out of range."""
_SIGMAS = 3.0
_INSTRUMENT = "sitelle-sn3"
_RESOLUTION = (4800.0, 5000.0)

Truth = dict[str, np.ndarray]
Maker = Callable[[int, int], tuple[Truth, Spectra]]


class Verdict(NamedTuple):
    """How a method fares on one case.

    Attributes:
        case: its name.
        text: what the spectra are.
        n: spectra.
        flagged: fraction with a flag of `WARNED`.
        covered_velocity: fraction with the true velocity within 3 stated errors (NaN: no truth).
        covered: the same of velocity and broadening together.
        safe: fraction flagged or covered.
    """

    case: str
    text: str
    n: int
    flagged: float
    covered_velocity: float
    covered: float
    safe: float


@dataclass(frozen=True)
class Case:
    """One kind of spectra.

    Attributes:
        name, text: short, and for people.
        make: (n, seed) -> truth and spectra; the truth of pure noise is NaN.

    Example:
        >>> truth, spectra = CASES[0].make(2, 1)
        >>> len(spectra)
        2
    """

    name: str
    text: str
    make: Maker


def verdict(name: str, text: str, measured: Measured, truth: Truth) -> Verdict:
    """Judge answers to one case.

    Args:
        name, text: of the case.
        measured: the answers.
        truth: ``velocity`` and ``broadening`` (n,), NaN where there is none.

    Example:
        >>> one, flags = np.ones(2), np.array([0, int(Flag.POOR_FIT)])
        >>> answers = Measured(one, one, one, one, flags)
        >>> verdict("far", "", answers, {"velocity": 9 * one, "broadening": one}).safe
        0.5
    """
    flagged = (np.asarray(measured.flags) & int(WARNED)) != 0
    inside = {q: _covers(measured, truth, q) for q in QUANTITIES}
    both = inside["velocity"] & inside["broadening"]
    known = bool(np.isfinite(truth["velocity"]).any())
    return Verdict(
        name,
        text,
        len(flagged),
        float(flagged.mean()),
        float(inside["velocity"].mean()) if known else float("nan"),
        float(both.mean()) if known else float("nan"),
        float((flagged | both).mean()),
    )


def _covers(measured: Measured, truth: Truth, quantity: str) -> np.ndarray:
    miss = np.abs(np.asarray(getattr(measured, quantity), float) - truth[quantity])
    return miss <= _SIGMAS * np.asarray(getattr(measured, f"{quantity}_err"), float)


def judge_out_of_range(
    method: Method, n: int, *, seed: int, cases: tuple[Case, ...] | None = None
) -> list[Verdict]:
    """Measure every case and judge the answers.

    Args:
        method: measures spectra.
        n: spectra of a case.
        seed: of the held-out stream.
        cases: None = all of `CASES`; the first is in range, where a flag is false.

    Example:
        >>> from nebulines.evaluation.methods import get_method
        >>> [v.case for v in judge_out_of_range(get_method("fit"), 16, seed=1, cases=CASES[:1])]
        ['in range']
    """
    verdicts = []
    for stream, case in enumerate(cases or CASES):
        truth, spectra = case.make(n, held_out_seed(seed, 100 + stream))
        verdicts.append(verdict(case.name, case.text, method(spectra), truth))
    return verdicts


def _plain(n: int, seed: int, **options: Any) -> tuple[Truth, Spectra]:
    settings: dict[str, Any] = {"resolution": _RESOLUTION, "lines": FIVE_LINES} | options
    table, spectra = simulate(_INSTRUMENT, n, seed, **settings)
    return {name: np.asarray(table[name], float) for name in table.colnames}, spectra


def _fast(n: int, seed: int) -> tuple[Truth, Spectra]:
    away, spectra = _plain(n, seed, velocity=(250.0, 400.0))
    back, other = _plain(n, seed + 1, velocity=(-400.0, -250.0))
    first = np.random.default_rng(seed).random(n) < 0.5
    truth = {name: np.where(first, away[name], back[name]) for name in away}
    assert spectra.variance is not None
    assert other.variance is not None
    assert spectra.line_spread is not None
    pick = first[:, None]
    chosen = replace(
        spectra,
        flux=np.where(pick, spectra.flux, other.flux),
        variance=np.where(pick, spectra.variance, other.variance),
        line_spread=replace(spectra.line_spread, resolution=truth["resolution"]),
    )
    return truth, chosen


class Blend(NamedTuple):
    """Spectra of two components.

    Attributes:
        first, second: truth of the brighter and of the other, whose fluxes are times ``share``.
        share: (n,).
        spectra: of both together.
    """

    first: Truth
    second: Truth
    share: np.ndarray
    spectra: Spectra


def two_components(n: int, seed: int, *, noise: bool = True) -> Blend:
    """A second component of 0.4 to 1 times the flux, 60 to 200 km/s away.

    Args:
        n: number of spectra.
        seed: of the draw.
        noise: False leaves the noise out of the same spectra; their variance stays.
    """
    generator = np.random.default_rng(seed)
    draws = 4 * n
    quiet = (1e6, 1e6)
    truth, first = _plain(draws, seed, resolution=5000.0)
    second_truth, second = _plain(draws, seed + 1, resolution=5000.0, snr=quiet)
    apart = np.abs(truth["velocity"] - second_truth["velocity"])
    rows = np.flatnonzero((apart >= 60.0) & (apart <= 200.0))[:n]
    share = generator.uniform(0.4, 1.0, len(rows)).astype(np.float32)
    flux = first.flux if noise else _plain(draws, seed, resolution=5000.0, snr=quiet)[1].flux
    both = replace(first[rows], flux=flux[rows] + share[:, None] * second.flux[rows])
    bright, other = ({k: v[rows] for k, v in one.items()} for one in (truth, second_truth))
    return Blend(bright, other, share, both)


def _two_components(n: int, seed: int) -> tuple[Truth, Spectra]:
    """The truth is the brighter one."""
    found = two_components(n, seed)
    return found.first, found.spectra


def _noise_only(n: int, seed: int) -> tuple[Truth, Spectra]:
    truth, spectra = _plain(n, seed)
    assert spectra.variance is not None
    noise = np.random.default_rng(seed).standard_normal(spectra.flux.shape, np.float32)
    nothing = {name: np.full(n, np.nan) for name in truth}
    return nothing, replace(spectra, flux=noise * np.sqrt(spectra.variance))


def _spike(n: int, seed: int) -> tuple[Truth, Spectra]:
    """One channel of the filter raised by 0.5 to 3 times the peak of H-alpha."""
    truth, spectra = _plain(n, seed)
    generator = np.random.default_rng(seed)
    low, high = np.searchsorted(np.sort(spectra.axis.wavelength()), (6500.0, 6840.0))
    channel = spectra.axis.n_channels - 1 - generator.integers(low, high, n)
    flux = np.array(spectra.flux)
    flux[np.arange(n), channel] += generator.uniform(0.5, 3.0, n) * _peak(truth, spectra)
    return truth, replace(spectra, flux=flux)


def _slope(n: int, seed: int) -> tuple[Truth, Spectra]:
    """A straight continuum that rises or falls by 0.3 to 2 peaks of H-alpha over the band."""
    truth, spectra = _plain(n, seed)
    generator = np.random.default_rng(seed)
    rise = generator.uniform(0.3, 2.0, n) * generator.choice([-1.0, 1.0], n)
    place = np.linspace(-0.5, 0.5, spectra.axis.n_channels)
    level = (rise * _peak(truth, spectra))[:, None] * place
    return truth, replace(spectra, flux=(spectra.flux + level).astype(np.float32))


def _peak(truth: Truth, spectra: Spectra) -> np.ndarray:
    assert spectra.variance is not None
    return truth["snr"] * np.sqrt(np.asarray(spectra.variance[:, 0], float))


CASES: tuple[Case, ...] = (
    Case("in range", "as the training set: any flag is false", _plain),
    Case("fast", "|v| 250-400 km/s", _fast),
    Case(
        "strong [N II]",
        "[N II] 6583 / H-alpha 2-4",
        lambda n, seed: _plain(n, seed, ratios={"NII6583": (2.0, 4.0)}),
    ),
    Case("faint", "S/N 2-4", lambda n, seed: _plain(n, seed, snr=(2.0, 4.0))),
    Case("two components", "60-200 km/s apart, flux ratio 0.4-1", _two_components),
    Case("pure noise", "no line", _noise_only),
    Case("spike", "one channel raised by 0.5-3 peaks of H-alpha", _spike),
    Case("slope", "continuum that rises or falls by 0.3-2 peaks", _slope),
)

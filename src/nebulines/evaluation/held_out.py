"""Synthetic spectra that nothing was trained on, their truth and their bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nebulines.evaluation.cramer_rao import Bound
from nebulines.evaluation.fit_bound import bound_of
from nebulines.fitting.config import FitConfig
from nebulines.instruments import get_instrument
from nebulines.spectra import Spectra
from nebulines.synthetic import simulate

FIVE_LINES = ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731")
_HELD_OUT = (0x4E45, 0x484F)  # spawn key: a stream of seeds that no training draws from
_PAPER_RESOLUTION = 5000.0


@dataclass(frozen=True)
class Source:
    """What a held-out set is drawn from.

    Attributes:
        title: for people.
        instrument: row of the instrument table.
        lines: names.
        resolved: broadening is judged beside its bound above this [km/s].
        velocity, broadening: ranges drawn from, uniformly [km/s].
        options: further arguments of `nebulines.synthetic.simulate`.

    Example:
        >>> Source("mine", options={"snr": (5.0, 9.0)}).instrument
        'sitelle-sn3'
    """

    title: str
    instrument: str = "sitelle-sn3"
    lines: tuple[str, ...] = FIVE_LINES
    resolved: float = 20.0
    velocity: tuple[float, float] = (-200.0, 200.0)
    broadening: tuple[float, float] = (10.0, 50.0)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HeldOut:
    """Spectra with their truth and bound.

    Attributes:
        source: what they were drawn from.
        seed: of the draw.
        spectra: the data.
        truth: column -> (n,), names as in a result table.
        bound: Cramer-Rao bound of each spectrum.

    Example:
        >>> held_out = draw(sn3(), 2, seed=1)
        >>> len(held_out.spectra), held_out.bound.velocity_kms.shape
        (2, (2,))
    """

    source: Source
    seed: int
    spectra: Spectra
    truth: dict[str, np.ndarray]
    bound: Bound


def sn3(resolution: float = _PAPER_RESOLUTION, **options: Any) -> Source:
    """SITELLE's SN3 as Rhea et al. 2020 drew it: velocity within 200 km/s, broadening 10 to 50
    km/s, S/N 5 to 30 and R up to 200 below nominal.

    The number of steps of the scan follows the resolution, as in a real observation, so that
    R 2000 has 337 channels and R 1000 has 169.

    Args:
        resolution: nominal R.
        **options: of `nebulines.synthetic.simulate` that replace these.

    Example:
        >>> sn3(2000).options["n_steps"]
        337
    """
    steps = get_instrument("sitelle-sn3").n_steps
    own: dict[str, Any] = {"resolution": (resolution - 200.0, resolution)}
    if resolution != _PAPER_RESOLUTION and steps is not None:
        own["n_steps"] = round(steps * resolution / _PAPER_RESOLUTION)
    title = f"SITELLE SN3, R {resolution - 200:.0f}-{resolution:.0f}"
    return Source(title, options=own | options)


def held_out_seed(seed: int, stream: int = 0) -> int:
    """A seed of the held-out stream, which no small integer of a user coincides with.

    Args:
        seed: 0 or more.
        stream: number of the set drawn with that seed.

    Example:
        >>> held_out_seed(1) > 2**32, held_out_seed(1) != held_out_seed(1, 1)
        (True, True)
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(*_HELD_OUT, stream))
    high, low = sequence.generate_state(2)
    return int(high) << 32 | int(low)


def draw(source: Source, n: int, *, seed: int, stream: int = 0) -> HeldOut:
    """Simulate ``n`` held-out spectra of a source.

    Args:
        source: what to draw from.
        n: spectra.
        seed, stream: see `held_out_seed`.

    Example:
        >>> draw(sn3(), 3, seed=1).spectra.flux.shape
        (3, 842)
    """
    number = held_out_seed(seed, stream)
    table, spectra = simulate(
        source.instrument,
        n,
        number,
        lines=source.lines,
        velocity=source.velocity,
        broadening=source.broadening,
        **source.options,
    )
    truth = {name: np.asarray(table[name], float) for name in table.colnames}
    bound = bound_of(spectra, truth, FitConfig(lines=source.lines), source.lines)
    return HeldOut(source, seed, spectra, truth, bound)

"""Go on with the training of ``kinematics`` on spectra as a user's are measured.

    python -m benchmarks.settle_kinematics run/kinematics.safetensors --out settled [--n 131072]

Mock windows, which the network is trained on, have a continuum error drawn at random and one
length. Real ones inherit the normalisation, the continuum estimate and the window of their
instrument, which shifts the posterior by a few per cent of its width. Here three quarters of every
batch are spectra simulated in the format of an instrument (``settle_kinematics.toml``) and prepared
by the package itself, the loss being that of the posterior within the ranges that a user states;
the rest are mock windows as before. Seeds are of a stream of their own; other spectra of it choose
the best step, and say of every set by how much the loss fell.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

STREAM = 0x5E77
PART = 1024
JUDGED = 4096
STEPS, BATCH, RATE = 8000, 2048, 6e-4


def settings() -> dict[str, Any]:
    """``settle_kinematics.toml``."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def sets() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Instrument, what to simulate, and what the network is told, of every set."""
    from nebulines.evaluation.held_out import sn3

    given = settings()
    for one in given["sets"]:
        kind, lines = given["kinds"][one["kind"]], tuple(given["lines"][one["lines"]])
        drawn = {key: tuple(kind[key]) for key in ("velocity", "broadening", "snr")}
        drawn |= {"lines": lines} | {key: kind[key] for key in ("prior",) if key in kind}
        if "band" in one:
            drawn["band"] = tuple(one["band"])
        velocity, broadening = (tuple(pair) for pair in kind["ranges"])
        told = {"lines": lines, "velocity_range": velocity, "broadening_range": broadening}
        for resolution in one.get("resolutions", [None]):
            own = sn3(resolution).options if resolution else {}
            yield one["instrument"], own | drawn, told


def measured(n: int, seed: int) -> Any:
    """`nebulines.training.kinematics.network.Measured` of all sets, n spectra of each."""
    import jax

    found = []
    for number, one in enumerate(sets()):
        for part, first in enumerate(range(0, n, PART)):
            key = (seed, STREAM, number, part)
            found.append(measured_of(*one, min(PART, n - first), key))
    return jax.tree.map(lambda *a: np.concatenate(a), *found)


def measured_of(
    instrument: str, drawn: dict[str, Any], told: dict[str, Any], n: int, seed: tuple[int, ...]
) -> Any:
    """`nebulines.training.kinematics.network.Measured` of n spectra of one of `sets`."""
    from nebulines.cubes.network.input import NetworkInput
    from nebulines.fitting.config import FitConfig
    from nebulines.fitting.fit import resolve
    from nebulines.fitting.prepared import prepare
    from nebulines.synthetic import simulate

    truth, spectra = simulate(instrument, n, seed, **drawn)
    given = NetworkInput(prepare(spectra, resolve(spectra, FitConfig(**told))))
    return given.measured(truth["velocity"], truth["broadening"])


def losses(network: Any, judge: Any) -> list[float]:
    """Mean of -log p of each of `sets`, of which ``judge`` holds equally many spectra."""
    import jax

    from nebulines.training.kinematics.network import measured_loss

    parts = len(list(sets()))
    cut = jax.tree.map(lambda a: a.reshape(parts, -1, *a.shape[1:]), judge)
    each = jax.jit(lambda seen: jax.lax.map(lambda one: measured_loss(network, one), seen))
    return [round(float(loss), 4) for loss in each(cut)]


def main() -> None:
    """Measure, learn and write."""
    import jax

    from nebulines.networks.weights import load, save
    from nebulines.runtime import configure
    from nebulines.training.config import TrainConfig
    from nebulines.training.kinematics.network import settling_task
    from nebulines.training.loop import train

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=131_072)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seed", type=int, default=17)
    options = parser.parse_args()
    configure()
    begun = load(str(options.weights))
    learn = measured(options.n, options.seed)
    judge = measured(min(JUDGED, options.n), options.seed + 1)
    config = TrainConfig(
        steps=options.steps, batch=options.batch, learning_rate=options.rate, seed=options.seed,
        validate_every=250, validation=16_384, warmup=100, weight_decay=0.0,
    )  # fmt: skip
    task = settling_task(
        begun.network, *(jax.tree.map(np.asarray, part) for part in (learn, judge))
    )
    trained = train(task, config, out=options.out)
    card = dict(begun.card)
    if "settled_with" in card:
        card["settled_before"] = [*card.get("settled_before", []), card["settled_with"]["command"]]
    card["settled_with"] = {
        "command": f"python -m benchmarks.settle_kinematics {options.weights.name} "
        f"--n {options.n} --steps {options.steps} --batch {options.batch} "
        f"--rate {options.rate} --seed {options.seed}",
        "spectra": len(learn.u),
        "sets": settings(),
        "loss_of_sets": {
            "before": losses(begun.network, judge),
            "after": losses(trained.network, judge),
        },
        "history": trained.history,
    }
    card.pop("scores", None)
    save(options.out / "kinematics.safetensors", trained.network, card)
    print(json.dumps(trained.history, indent=1))


if __name__ == "__main__":
    main()

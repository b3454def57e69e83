"""How well can lines be predicted from these colours at all? Learning curves until they are flat.

    python -m benchmarks.width_bound

Plain dense networks learn the median of asinh EW (mean absolute error) from growing numbers of
galaxies, in two sizes, from colours as a survey sees them and from colours without noise. Where
neither more galaxies nor a larger network helps, the scores are the best that the population and
the noise allow: the gap from there to the noise ceiling of the widths is what the colours do not
decide. A network of the package that does better shows that a curve had not yet got there. Nearest
neighbours learn from as many galaxies as in the report. Writes
``benchmarks/results/lines_from_continuum/bound.md`` and ``.json``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import click
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.reporting import RESULTS, environment, table
from nebulines.evaluation.equivalent_width import Judged, judge_predictions
from nebulines.galaxies.widths.baselines import nearest_neighbours
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.galaxies.widths.learning import Measured
from nebulines.galaxies.widths.samples import TEST, TRAINING, VALIDATION, Sample, draw_sample
from nebulines.training import Task, TrainConfig, train
from nebulines.training.task import pick

SHOWN = ("HALPHA6563", "HBETA4861", "NII6583", "OIII5007", "OII3727")


class Plain(eqx.Module):
    """Standardised colours through dense layers to asinh EW (10)."""

    layers: eqx.nn.MLP
    mean: jax.Array
    spread: jax.Array

    def __init__(self, *, key: jax.Array, width: int, inputs: np.ndarray):
        self.layers = eqx.nn.MLP(
            inputs.shape[1], len(LINES), width, 3, activation=jax.nn.silu, key=key
        )
        self.mean, self.spread = jnp.asarray(inputs.mean(axis=0)), jnp.asarray(inputs.std(axis=0))

    def __call__(self, inputs: Any) -> jax.Array:
        """asinh EW (n, 10) of colours (n, 11)."""
        fixed = jax.lax.stop_gradient((self.mean, self.spread))
        return jax.vmap(self.layers)((inputs - fixed[0]) / fixed[1])


def loss(network: Plain, batch: Measured, key: Any = None) -> jax.Array:
    """Mean absolute error of asinh EW."""
    return jnp.mean(jnp.abs(network(batch.colours) - jnp.arcsinh(batch.ew)))


def learned(training: Measured, validation: Measured, *, width: int, steps: int) -> Plain:
    """A network after training."""
    task = Task(
        "bound",
        lambda key: Plain(key=key, inputs=training.colours, width=width),
        partial(pick, training),
        loss,
        validation=partial(pick, validation),
    )
    config = TrainConfig(
        steps=steps, batch=1024, learning_rate=3e-3, validation=len(validation.ew),
        validate_every=max(steps // 10, 1), weight_decay=1e-4, warmup=100,
    )  # fmt: skip
    return train(task, config, progress=False).network


def scores(network: Plain, test: Sample) -> Judged:
    """Rank correlation with measured widths, and scatter about them, of a network's medians."""
    predict = eqx.filter_jit(lambda net, x: net(x))
    return judge_predictions("", np.sinh(np.asarray(predict(network, test.galaxies.colours))), test)


def of_neighbours(training: Measured, test: Sample, components: int) -> Judged:
    """The same of the nearest neighbours that the targets compare with."""
    near = nearest_neighbours(training.colours, training.ew, components=components)
    return judge_predictions("", near(np.asarray(test.galaxies.colours)), test)


def shown(label: list[str], got: Judged) -> tuple[list[str], list[str]]:
    """A row of rank correlations and one of scatters."""
    index = [LINES.index(name) for name in SHOWN]
    return (
        [*label, *(f"{got.spearman[k]:.3f}" for k in index)],
        [*label, *(f"{got.nmad[k]:.3f}" for k in index)],
    )


def gains(best: Judged, neighbours: Judged) -> list[str]:
    """By how much the best network's scatter lies below that of the neighbours."""
    share = 1.0 - best.nmad / neighbours.nmad
    return [f"{100 * share[LINES.index(name)]:.1f} %" for name in SHOWN]


@click.command()
@click.option("--sizes", default="10000,30000,100000", show_default=True, help="To learn from.")
@click.option("--widths", default="64,256", show_default=True, help="Of the hidden layers.")
@click.option("--n", default=20_000, show_default=True, help="Galaxies that judge.")
@click.option("--steps", default=3000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--neighbours", default=50_000, show_default=True, help="Galaxies of k-NN.")
@click.option("--noisy-only", is_flag=True, help="Leave out the colours without noise.")
def main(
    sizes: str, widths: str, n: int, steps: int, seed: int, neighbours: int, noisy_only: bool
) -> None:
    """Learn, judge, write."""
    numbers = [int(size) for size in sizes.split(",")]
    rows: list[tuple[list[str], list[str]]] = []
    judged: dict[str, Judged] = {}
    for noise in (True,) if noisy_only else (True, False):
        draw = partial(draw_sample, noise=noise)
        training = draw(max(numbers), seed, TRAINING).galaxies
        validation, test = draw(8192, seed, VALIDATION).galaxies, draw(n, seed, TEST)
        seen = "as a survey sees them" if noise else "without noise"
        for width in (int(one) for one in widths.split(",")):
            for size in numbers if noise else numbers[-1:]:
                network = learned(training.rows(slice(size)), validation, width=width, steps=steps)
                judged[seen] = scores(network, test)
                rows.append(shown([seen, str(width), f"{size:,}"], judged[seen]))
                click.echo(rows[-1])
        if noise:
            for components, name in ((0, "k-NN 50"), (6, "PCA 6 + k-NN 50")):
                known = training.rows(slice(neighbours))
                judged[name] = of_neighbours(known, test, components)
                rows.append(shown([seen, name, f"{len(known.ew):,}"], judged[name]))
    top = judge_predictions("", test.true_ew, test)
    rows.append(shown(["true widths (ceiling)", "", ""], top))
    best = judged["as a survey sees them"]
    below = [[name, *gains(best, judged[name])] for name in ("k-NN 50", "PCA 6 + k-NN 50")]
    write(*zip(*rows, strict=True), below)


def write(
    ranks: Sequence[list[str]], scatters: Sequence[list[str]], below: list[list[str]]
) -> None:
    """The page and its numbers."""
    header, known = ["colours", "width", "learned from", *SHOWN], environment()
    text = [
        "# How well lines can be predicted from these colours",
        f"`{known['command']}`",
        "Rank correlation of predicted and measured widths of galaxies that were not learned from.",
        table(header, [*ranks]),
        "NMAD of predicted - measured [A].",
        table(header, [*scatters]),
        "How far the largest network that learned from most galaxies lies below nearest "
        "neighbours in NMAD. The curves end where they are flat, not before: compare them with the "
        "network of the package ([report](lines_from_continuum.md)).",
        table(["below", *SHOWN], below),
        "",
    ]
    folder = RESULTS / "lines_from_continuum"
    (folder / "bound.md").write_text("\n\n".join(text), encoding="utf-8")
    record = {"environment": known, "header": header, "spearman": ranks, "nmad": scatters,
              "nmad_below": below}  # fmt: skip
    (folder / "bound.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    from nebulines.runtime import configure

    configure()
    main()

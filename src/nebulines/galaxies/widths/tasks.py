"""How ``nebulines train equivalent_width`` and ``equivalent_width_spectrum`` are set up."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from nebulines.errors import InputError
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.galaxies.widths.learning import Measured, equivalent_width_task
from nebulines.galaxies.widths.median_learning import with_learned_medians
from nebulines.galaxies.widths.samples import TEST, TRAINING, VALIDATION, Sample, View, draw_sample
from nebulines.galaxies.widths.scores import CENTRAL, coverage, line_scores
from nebulines.galaxies.widths.support import LEARNED_SHARE
from nebulines.galaxies.widths.width_mixture import Widths
from nebulines.training.task import Task

N_VALIDATION, N_TEST = 4096, 8192
SHARES = (0.7, 0.15)
"""Of a user's galaxies that train and that validate; the rest tests."""
SCALES = (0.7, 0.8, 0.9, 1.0, 1.15)
"""Trial factors of the scatter."""
SIZE = {"width": 160, "depth": 2, "rank": 3, "components": 4, "median_width": 64}
RANGES = {
    "colours": f"distance of Mahalanobis within which {LEARNED_SHARE:.1%} of the training galaxies "
    "are (support)",
    "widths": f"predicted H-alpha up to that of {LEARNED_SHARE:.1%} of the validation set "
    "(support.strongest)",
}


def make_task(name: str, *, seed: int, spectra: int, data: tuple[Path, Path] | None = None) -> Task:
    """The task of one of the two networks.

    Args:
        name: ``equivalent_width`` or ``equivalent_width_spectrum``.
        seed: of the galaxies.
        spectra: galaxies to train on, where they are simulated.
        data: files of observed spectra and of measured widths
            (`nebulines.galaxies.widths.training_files`); None = the package's population.

    Raises:
        UsageError, InputError: a file that cannot be used.
    """
    view: View = "spectrum" if name.endswith("spectrum") else "colours"
    if data is None:
        training = draw_sample(spectra, seed, TRAINING, view=view)
        validation = draw_sample(N_VALIDATION, seed, VALIDATION, view=view)
        test = draw_sample(N_TEST, seed, TEST, view=view)
        text = f"{spectra} galaxies of nebulines.galaxies.population, DESI's errors of widths"
        options = ["--spectra", str(spectra)]
    else:
        from nebulines.galaxies.widths.training_files import read_galaxies

        training, validation, test = split(read_galaxies(*data, view=view), seed)
        text = f"{len(training.true_ew)} galaxies of {data[0].name} and {data[1].name}"
        options = ["--data", data[0].name, data[1].name]
    held_out = f"{len(test.true_ew)} galaxies of the same kind that neither train nor validate"
    source = "galaxies of the package's population" if data is None else "galaxies of a user"
    about = {
        "source": source,
        "data": text,
        "held_out": held_out,
        "trained_ranges": RANGES,
        "options": options,
    }
    return equivalent_width_task(
        training.galaxies,
        validation.galaxies,
        name=name,
        size=SIZE,
        about=about,
        score=partial(score, test=test),
        finish=partial(finished, training=training, validation=validation),
    )


def split(galaxies: Measured, seed: int) -> tuple[Sample, Sample, Sample]:
    """Training, validation and test sets of a user's galaxies; their true widths are unknown.

    Raises:
        InputError: fewer than 1000 galaxies.
    """
    n = len(galaxies.colours)
    if n < 1000:
        raise InputError(f"training needs 1000 galaxies or more with widths, not {n}")
    order = np.random.default_rng([seed, n]).permutation(n)
    ends = np.cumsum([round(share * n) for share in SHARES])
    parts = [galaxies.rows(index) for index in np.split(order, ends)]
    first, second, third = (Sample(part, np.full(part.ew.shape, np.nan)) for part in parts)
    return first, second, third


def score(network: Any, test: Sample) -> dict[str, Any]:
    """Scores on galaxies that a network never saw, against measured and true widths.

    Returns:
        One number a line of ``spearman``, ``nmad`` [Angstrom], ``bias`` [Angstrom],
        ``coverage`` (of the central 68.27 %), ``spearman_true``, and ``outside_support``.
    """
    galaxies = test.galaxies
    widths = predict_in_blocks(network, galaxies.colours)
    usable = np.isfinite(galaxies.ew_err)
    seen = np.where(usable, galaxies.ew, np.nan)
    found = line_scores(widths.ew(), seen)
    table = {
        "spearman": by_line(found.spearman),
        "nmad": by_line(found.nmad),
        "bias": by_line(found.bias),
        "coverage": by_line(coverage(widths, seen, galaxies.ew_err)),
    }
    if np.isfinite(test.true_ew).all():
        table["spearman_true"] = by_line(line_scores(widths.ew(), test.true_ew).spearman)
    return table


def finished(network: Any, training: Sample, validation: Sample) -> Any:
    """The network with calibrated scatter, medians taught by its mixture, and its region."""
    network = with_learned_medians(calibrated(network, validation), training.galaxies.colours)
    return with_strongest(network, validation.galaxies.colours)


def calibrated(network: Any, validation: Sample) -> Any:
    """The network with the scatter of each line scaled so that 68.27 % of the measured widths of
    the validation set lie in the central interval of prediction and noise."""
    galaxies = validation.galaxies
    inside = []
    for scale in SCALES:
        tried = _scaled(network, np.full(len(LINES), scale))
        widths = predict_in_blocks(tried, galaxies.colours)
        inside.append(coverage(widths, galaxies.ew, galaxies.ew_err, draws=32))
    columns = np.maximum.accumulate(np.array(inside), axis=0).T
    return _scaled(network, [np.interp(CENTRAL, column, SCALES) for column in columns])


def with_strongest(network: Any, inputs: Any) -> Any:
    """The network with the H-alpha below which a share `LEARNED_SHARE` of its predictions lie."""
    ew = np.asarray(network.median(inputs))[:, LINES.index("HALPHA6563")]
    strongest = jnp.asarray(np.quantile(ew, LEARNED_SHARE), jnp.float32)
    return eqx.tree_at(lambda net: net.support.strongest, network, strongest)


def _scaled(network: Any, scale: Any) -> Any:
    def place(net: Any) -> Any:
        return getattr(net, "trunk", net).calibration

    return eqx.tree_at(place, network, jnp.asarray(scale, jnp.float32))


def predict_in_blocks(network: Any, inputs: Any, *, block: int = 20_000) -> Widths:
    """Predictions for many galaxies, in blocks."""
    parts = [network.predict(inputs[i : i + block]) for i in range(0, len(inputs), block)]
    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)


def by_line(values: Any) -> dict[str, float]:
    """One number a line, three digits."""
    return {name: round(float(v), 3) for name, v in zip(LINES, values, strict=True)}

"""The tasks of the package by name, and what becomes of a finished training."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nebulines
from nebulines.errors import UsageError
from nebulines.networks.weights import save
from nebulines.training.config import TrainConfig
from nebulines.training.loop import Trained
from nebulines.training.task import Task


def task_names() -> list[str]:
    """Names that `get_task` knows.

    Example:
        >>> task_names()  # doctest: +ELLIPSIS
        ['kinematics', 'starnet', 'starnet-r2000', 'starnet-r1000', ...]
    """
    return list(_TASKS)


def get_task(
    name: str, *, seed: int = 0, spectra: int = 50_000, data: tuple[Path, ...] | None = None
) -> Task:
    """A task by name.

    Args:
        name: one of `task_names`.
        seed: of the spectra, where they are simulated before the training.
        spectra: their number, training, validation and test sets together.
        data: files of spectra and of what was measured of them, for networks that can learn from
            files; None = simulated spectra.

    Raises:
        UsageError: an unknown name, or files for a network that does not learn from files.

    Example:
        >>> get_task("kinematics").name
        'kinematics'
    """
    if name not in _TASKS:
        raise UsageError(f"no network {name!r} to train: choose one of {', '.join(_TASKS)}")
    if data is not None:
        if name not in _MODULES:
            raise UsageError(f"{name} learns from simulated spectra only: leave --data out")
        return importlib.import_module(_MODULES[name]).make_task(
            name, seed=seed, spectra=spectra, data=data
        )
    return _TASKS[name](seed, spectra)


def _kinematics(seed: int, spectra: int) -> Task:
    from nebulines.training.kinematics.network import KINEMATICS

    return KINEMATICS


def _starnet(name: str, seed: int, spectra: int) -> Task:
    from nebulines.training.kinematics.starnet import paper_spectra, split, starnet_task

    _, labelled = paper_spectra(spectra, seed, **_STARNET_OPTIONS[name])
    training, validation, _ = split(labelled, seed)
    return starnet_task(training, validation)._replace(name=name)


_STARNET_OPTIONS: dict[str, dict[str, Any]] = {
    "starnet": {"resolution": (4800.0, 5000.0)},
    "starnet-r2000": {"resolution": (1800.0, 2000.0), "n_steps": 337},
    "starnet-r1000": {"resolution": (800.0, 1000.0), "n_steps": 168},
}
"""Resolutions of the paper, with scans whose number of channels follows them."""


def _line_ratios(seed: int, spectra: int) -> Task:
    from nebulines.training.line_ratios.network import line_ratios_task

    return line_ratios_task(seed)


def _line_ratio_ann(seed: int, spectra: int) -> Task:
    from nebulines.training.line_ratios.ann import ann_task

    return ann_task(seed, spectra)


def _elsewhere(name: str, seed: int, spectra: int) -> Task:
    """A task of a room above this one, found when it is asked for."""
    return importlib.import_module(_MODULES[name]).make_task(name, seed=seed, spectra=spectra)


_MODULES: dict[str, str] = {
    **dict.fromkeys(
        ("denoise", "denoise-wide", "galaxy_kinds", "pca", "ae", "vae"),
        "nebulines.galaxies.denoising.tasks",
    ),
    **dict.fromkeys(
        (f"{kind}-{latent}" for kind in ("pca", "ae", "vae") for latent in (2, 4, 6, 10)),
        "nebulines.galaxies.denoising.tasks",
    ),
    "equivalent_width": "nebulines.galaxies.widths.tasks",
    "equivalent_width_spectrum": "nebulines.galaxies.widths.tasks",
}
"""Networks of rooms above this one -> module with ``make_task(name, seed=, spectra=)``."""

_TASKS: dict[str, Callable[[int, int], Task]] = {
    "kinematics": _kinematics,
    **{name: partial(_starnet, name) for name in _STARNET_OPTIONS},
    "line_ratios": _line_ratios,
    "line_ratio_ann": _line_ratio_ann,
    **{name: partial(_elsewhere, name) for name in _MODULES},
}


def starting_from(task: Task, path: Path) -> Task:
    """A task whose network begins with the weights of a file; what it knows beforehand of its
    examples (``prior``) is that of the task.

    Raises:
        UsageError: weights of another network.
    """
    import equinox as eqx

    from nebulines.networks.weights import load

    found = load(str(path))
    if found.card["name"] != task.name:
        raise UsageError(f"{path} holds weights of {found.card['name']!r}, not of {task.name!r}")

    def build(key: Any, **size: Any) -> Any:
        fresh = task.build(key, **size)
        if not hasattr(fresh, "prior"):
            return found.network
        return eqx.tree_at(lambda network: network.prior, found.network, fresh.prior)

    options = [*task.about.get("options", []), "--start", path.name]
    about = {**task.about, "options": options, "begun_with": found.card["trained_with"]}
    return task._replace(build=build, size=found.card["size"], about=about)


def trained_ranges(task: Task) -> dict[str, Any]:
    """What a network was trained on, for its card: ranges within which it may be used."""
    name = task.name
    if "trained_ranges" in task.about:
        return dict(task.about["trained_ranges"])
    if name != "kinematics":
        return {
            "instrument": "sitelle-sn3",
            "resolution": list(_STARNET_OPTIONS[name]["resolution"]),
            "velocity_kms": [-200.0, 200.0],
            "broadening_kms": [10.0, 50.0],
            "snr": [5.0, 30.0],
        }
    from nebulines.constants import SPEED_OF_LIGHT_KMS
    from nebulines.training.kinematics.line_windows import settings

    ranges = settings()
    low, high = ranges["sinc"]["resolution"]
    return {
        "line_spread": ["sinc", "gaussian"],
        "resolution": [low, high],
        "line_spread_fwhm_kms": [
            round(0.9 * SPEED_OF_LIGHT_KMS / high, 1),
            round(1.2 * SPEED_OF_LIGHT_KMS / low, 1),
        ],
        "velocity_kms": ranges["source"]["velocity"],
        "broadening_in_widths": [0.0, ranges["source"]["broadening_largest"]],
        "snr": [ranges["source"]["snr"][0], 2.0 * ranges["source"]["snr"][1]],
        "channels_per_fwhm": [
            ranges["sinc"]["channels"][0],
            ranges["gaussian"]["channels_most"],
        ],
    }


def card(task: Task, config: TrainConfig, size: dict[str, Any], trained: Trained) -> dict[str, Any]:
    """The card of a trained network, before it is judged on held-out spectra."""
    command = ["nebulines", "train", task.name, "--steps", str(config.steps), "--seed",
               str(config.seed)]  # fmt: skip
    command += task.about.get("options", [])
    about = {k: v for k, v in task.about.items() if k not in ("trained_ranges", "options")}
    return {
        "name": task.name,
        "architecture": task.name.partition("-")[0],
        "size": {**task.size, **size},
        "version": nebulines.__version__,
        **about,
        "trained_with": {
            "command": shlex.join(command),
            "config": config.as_dict(),
            "seconds": trained.history[-1]["seconds"] if trained.history else 0.0,
            "examples": config.steps * config.batch,
            "validation_loss": trained.best,
        },
        "trained_ranges": trained_ranges(task),
        "scores": task.score(trained.network) if task.score else {},
        **({"epochs": _losses(trained)} if task.recipe else {}),
    }


def _losses(trained: Trained) -> dict[str, list[float]]:
    """The loss of the training and of the validation set after every epoch, to six digits."""
    kinds = [kind for kind in ("loss", "validation") if kind in trained.history[-1]]
    return {kind: [float(f"{row[kind]:.6g}") for row in trained.history] for kind in kinds}


def write_network(
    out: Path, task: Task, config: TrainConfig, size: dict[str, Any], trained: Trained
) -> Path:
    """Write ``NAME.safetensors`` and its card into a folder.

    Returns:
        The path of the weights.
    """
    path = out / f"{task.name}.safetensors"
    save(path, trained.network, card(task, config, size, trained))
    return path

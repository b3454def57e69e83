"""The networks of the package as methods to judge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.evaluation.methods import Measured, Method, from_columns
from nebulines.spectra import Spectra

_BATCH = 1024


def kinematics(weights: Path | None = None, **options: Any) -> Method:
    """The network ``kinematics`` alone: posterior means, widths and draws.

    Args:
        weights: ``.safetensors`` file with its card; None = those shipped.
        **options: of `FitConfig`; ``velocity_range`` and ``broadening_range`` are the ranges of
            the flat prior.

    Raises:
        UsageError: no weights are shipped, or they are of another network.
    """
    from nebulines.evaluation.network_posterior import KinematicsMethod
    from nebulines.fitting.config import FitConfig

    return KinematicsMethod(_kinematics(weights), FitConfig(**options))


def network_and_fit(weights: Path | None = None, **options: Any) -> Method:
    """The shipped network ``kinematics`` polished by least squares: `nebulines.fit` as it is
    by default.

    Args:
        weights: must be None: a fit starts from the shipped network.
        **options: of `FitConfig`.
    """
    from nebulines.evaluation.methods import fit_method

    if weights is not None:
        raise UsageError("the method 'both' uses the shipped network: leave --weights out")
    _kinematics(None)
    return fit_method("both", **options)


def _kinematics(weights: Path | None) -> Any:
    from nebulines.networks.weights import load, shipped

    if weights is None and "kinematics" not in shipped():
        raise UsageError("no weights of 'kinematics' are shipped yet: give --weights, or use 'fit'")
    found = load("kinematics" if weights is None else str(weights))
    if found.card["architecture"] != "kinematics":
        raise UsageError(
            f"{weights} holds weights of {found.card['architecture']!r}, not of 'kinematics'"
        )
    return found


def starnet(weights: Path | None = None, **options: Any) -> Method:
    """The network of Rhea et al. 2020: points without errors or flags.

    A network reads spectra of one number of channels; of the shipped ones, the one that fits
    is used.

    Args:
        weights: ``.safetensors`` file with its card; None = those shipped whose name starts
            with ``starnet``.

    Raises:
        UsageError: none is shipped, or the spectra have other channels.
    """
    import equinox as eqx

    from nebulines.training.kinematics.starnet import band_flux

    networks = {channels: eqx.filter_jit(net) for channels, net in _starnets(weights)}
    if not networks:
        raise UsageError("no weights of 'starnet' are shipped: give --weights, or use 'fit'")

    def measure(spectra: Spectra) -> Measured:
        flux = band_flux(spectra)
        network = networks.get(flux.shape[1])
        if network is None:
            known = ", ".join(str(channels) for channels in sorted(networks))
            raise UsageError(
                f"'starnet' reads spectra with {known} channels between 6510 and 6850 Angstrom, "
                f"these have {flux.shape[1]}: use the resolution it was trained for"
            )
        parts = [network(flux[i : i + _BATCH]) for i in range(0, len(flux), _BATCH)]
        velocity, broadening = np.concatenate([np.asarray(p, float) for p in parts]).T
        return from_columns({"velocity": velocity, "broadening": broadening})

    return measure


def _starnets(weights: Path | None) -> Iterator[tuple[int, Any]]:
    """Channels and network of each set of weights."""
    from nebulines.networks.weights import load, shipped

    names = [str(weights)] if weights else [n for n in shipped() if n.startswith("starnet")]
    for name in names:
        found = load(name)
        if found.card["architecture"] != "starnet":
            raise UsageError(
                f"{name} holds weights of {found.card['architecture']!r}, not of 'starnet'"
            )
        yield int(found.card["size"]["channels"]), found.network

"""Methods that measure kinematics, by name: what a judge needs to know of them, no more."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from nebulines.errors import UsageError
from nebulines.spectra import Spectra

if TYPE_CHECKING:
    from nebulines.evaluation.held_out import Source

QUANTITIES = ("velocity", "broadening")


class Measured(NamedTuple):
    """Kinematics of n spectra as one method gives them.

    Attributes:
        velocity, velocity_err: (n,) [km/s].
        broadening, broadening_err: (n,) intrinsic 1-sigma [km/s].
        flags: (n,) bits of `nebulines.spectra.Flag`.
        draws: (n, m, 2) of the joint posterior of velocity and broadening [km/s], or None
            where the posterior is two normal laws with the stated errors.
        stated: whether the method states errors at all (where not, they are NaN).

    Example:
        >>> one = np.ones(1)
        >>> Measured(one, one, one, one, np.zeros(1, int)).draws is None
        True
    """

    velocity: np.ndarray
    velocity_err: np.ndarray
    broadening: np.ndarray
    broadening_err: np.ndarray
    flags: np.ndarray
    draws: np.ndarray | None = None
    stated: bool = True


class Method(Protocol):
    """Anything that measures spectra: ``method(spectra)`` gives `Measured`. A method may also
    have ``draws(spectra, seed=...)``, which gives (n, m, 2) of its joint posterior."""

    def __call__(self, spectra: Spectra) -> Measured:
        """Measure n spectra."""


Builder = Callable[..., Method]


def from_columns(columns: Mapping[str, Any], draws: np.ndarray | None = None) -> Measured:
    """`Measured` from the columns of a result; errors that are missing are NaN.

    Args:
        columns: ``velocity``, ``broadening`` and, where stated, their ``_err`` and ``flags``.
        draws: (n, m, 2) of the joint posterior, or None.

    Example:
        >>> from_columns({"velocity": [1.0], "broadening": [20.0]}).stated
        False
    """
    n = len(columns["velocity"])
    missing = np.full(n, np.nan)

    def column(name: str) -> np.ndarray:
        return np.asarray(columns[name], float) if name in columns else missing

    velocity, velocity_err = column("velocity"), column("velocity_err")
    broadening, broadening_err = column("broadening"), column("broadening_err")
    flags = np.asarray(columns["flags"]) if "flags" in columns else np.zeros(n, int)
    stated = bool(np.isfinite(velocity_err).any() and np.isfinite(broadening_err).any())
    return Measured(
        velocity, velocity_err, broadening, broadening_err, flags, draws=draws, stated=stated
    )


def least_squares(weights: Path | None = None, **options: Any) -> Method:
    """The method ``fit``: `nebulines.fit`, its errors taken for normal posteriors.

    Args:
        weights: must be None.
        **options: of `FitConfig`.
    """
    if weights is not None:
        raise UsageError("the method 'fit' has no weights: leave --weights out")
    return fit_method("fit", **options)


def fit_method(how: str, **options: Any) -> Method:
    """`nebulines.fit` as a method to judge.

    Args:
        how: ``fit``, ``network`` or ``both``.
        **options: of `FitConfig`.
    """
    from nebulines.cubes.measure import fit
    from nebulines.fitting.config import FitConfig

    config = FitConfig(**options)

    def measure(spectra: Spectra) -> Measured:
        return from_columns(fit(spectra, config, keep_model=False, method=how).columns)

    return measure


# name -> (module, function) that builds the method from weights and options
_BUILDERS: dict[str, tuple[str, str]] = {
    "fit": ("nebulines.evaluation.methods", "least_squares"),
    "both": ("nebulines.evaluation.network_methods", "network_and_fit"),
    "kinematics": ("nebulines.evaluation.network_methods", "kinematics"),
    "starnet": ("nebulines.evaluation.network_methods", "starnet"),
}


def method_names() -> list[str]:
    """Names that `get_method` knows.

    Example:
        >>> method_names()
        ['fit', 'both', 'kinematics', 'starnet']
    """
    return list(_BUILDERS)


def get_method(name: str, *, weights: Path | None = None, **options: Any) -> Method:
    """A method by name, ready to measure.

    Args:
        name: one of `method_names`.
        weights: file of a network's weights; None = those that are shipped.
        **options: of the method.

    Raises:
        UsageError: an unknown method, or a network without weights.

    Example:
        >>> callable(get_method("fit", velocity_range=(-300.0, 300.0)))
        True
    """
    if name not in _BUILDERS:
        raise UsageError(f"no method {name!r}: choose one of {', '.join(_BUILDERS)}")
    module, function = _BUILDERS[name]
    builder: Builder = getattr(importlib.import_module(module), function)
    return builder(weights, **options)


def prior_options(name: str, source: Source) -> dict[str, Any]:
    """Options that tell a network the prior of a held-out set, as a user would who knows the
    range of velocities; least squares knows no prior and searches its usual range.

    Args:
        name: of the method.
        source: what the set was drawn from.

    Example:
        >>> from nebulines.evaluation.held_out import sn3
        >>> prior_options("kinematics", sn3())["broadening_range"]
        (10.0, 50.0)
        >>> prior_options("fit", sn3())
        {}
    """
    if name != "kinematics":
        return {}
    ranges = (source.velocity, source.broadening)
    return dict(zip(("velocity_range", "broadening_range"), ranges, strict=True))

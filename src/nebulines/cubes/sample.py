"""The verb ``nebulines.sample``: the full posterior of a few spectra, as draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.cubes import engine
from nebulines.cubes.measure import as_config, fit
from nebulines.errors import UsageError
from nebulines.fitting.column_names import describe
from nebulines.fitting.config import FitConfig
from nebulines.fitting.result import Result
from nebulines.spectra import Cube, Flag, Spectra
from nebulines.spectral_axis import doppler_factor, velocity_of

if TYPE_CHECKING:
    from astropy.table import Table

    from nebulines.cubes.grid_posterior import At


@dataclass(frozen=True)
class Sample:
    """Posterior draws of n spectra.

    Attributes:
        columns: ``velocity``, ``broadening`` [km/s] and ``NAME_flux`` of each line, (draw, n);
            NaN where the lines are not detected or a line is not covered (``flags`` say so).
        fit: the least-squares fit around which they were drawn.

    Example:
        >>> draws = Sample({"velocity": np.zeros((5, 1))}, Result({"flags": np.array([0])}))
        >>> draws["velocity"].shape
        (5, 1)
    """

    columns: dict[str, np.ndarray]
    fit: Result

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self.columns[name]
        except KeyError:
            raise UsageError(f"no draws of {name!r}; there are {', '.join(self.columns)}") from None

    @property
    def flags(self) -> np.ndarray:
        """(n,) quality bits of the fit."""
        return self.fit["flags"]

    def fluxes(self) -> dict[str, np.ndarray]:
        """Line -> (draw, n), as the functions of `nebulines.nebular` take them."""
        lines = (name for name in self.columns if name.endswith("_flux"))
        return {name.removesuffix("_flux"): self.columns[name] for name in lines}

    def table(self) -> Table:
        """One row a spectrum, each cell with its draws (draw,), with units and ``flags``."""
        from astropy.table import Column, Table

        table = Table(meta=dict(self.fit.meta))
        for name, values in self.columns.items():
            unit, description = describe(name, self.fit.flux_unit)
            table[name] = Column(values.T, unit=unit or None, description=description)
        table["flags"] = self.flags
        return table


def sample(
    spectra: Spectra,
    config: FitConfig | None = None,
    *,
    n_draws: int = 1000,
    seed: int = 0,
    **options: Any,
) -> Sample:
    """Draw from the full posterior of a few spectra.

    Velocity and broadening have a flat prior within ``velocity_range`` and ``broadening_range``,
    peaks of lines and continuum a flat one; the posterior is integrated on a grid around the
    least-squares fit (`nebulines.cubes.grid_posterior`), so that it may have any shape, and has
    the bounds at zero that a symmetric error has not. Another velocity that would fit nearly as
    well (``AMBIGUOUS_VELOCITY``) is not part of it.

    Args:
        spectra: n spectra, for example ``cube[12, 30]``; each takes about 1500 evaluations of
            the model.
        config: what to fit and how; None = the defaults.
        n_draws: draws of each spectrum.
        seed: of the draws.
        **options: fields of `FitConfig` that replace those of ``config``.

    Returns:
        `Sample`. A row whose lines are not detected (``LOW_SNR``) or that has no data is NaN.

    Raises:
        UsageError: a cube or several bands instead of spectra; more than one component or group
            of lines, positive amplitudes, linked hydrogen lines or a stellar continuum, for which
            no posterior is made; an unknown option.

    Example:
        >>> from nebulines.synthetic import simulate
        >>> truth, spectra = simulate("sitelle-sn3", n=1, seed=1, snr=(20.0, 30.0))
        >>> draws = sample(spectra, n_draws=200)
        >>> miss = draws["velocity"].mean(axis=0) - truth["velocity"]
        >>> bool((abs(miss) < 5.0 * draws["velocity"].std(axis=0)).all())
        True
    """
    if isinstance(spectra, Cube):
        raise UsageError("sample takes a few spectra: give spaxels of the cube, as cube[12, 30]")
    if not isinstance(spectra, Spectra):
        raise UsageError(f"sample takes Spectra of one band, not {type(spectra).__name__}")
    if n_draws < 1:
        raise UsageError(f"n_draws must be 1 or more, not {n_draws}")
    if seed < 0:
        raise UsageError(f"seed must be 0 or more, not {seed}")
    config = engine.load().resolve(spectra, as_config(config, options))
    _check(config)
    fitted = fit(spectra, config, keep_model=False)
    return Sample(_columns(spectra, config, fitted, n_draws, seed), fitted)


def _check(config: FitConfig) -> None:
    asked = {
        "components=1": config.components == 1,
        "ties='all'": config.ties.strip().casefold() == "all",
        "amplitudes='free' or 'tied'": config.amplitudes != "positive",
        "reddening='none'": config.reddening == "none",
        "continuum='band' or 'window'": config.continuum != "stellar",
    }
    missing = [what for what, given in asked.items() if not given]
    if missing:
        raise UsageError(f"sample needs {', '.join(missing)}")


def _columns(
    spectra: Spectra, config: FitConfig, fitted: Result, n_draws: int, seed: int
) -> dict[str, np.ndarray]:
    from nebulines.cubes.grid_posterior import draw, grid_posterior
    from nebulines.fitting.prepared import prepare

    prepared = prepare(spectra, config)
    names = [f"{name}_flux" for name in prepared.model.catalogue.names]
    shape = n_draws, len(spectra)
    columns = {name: np.full(shape, np.nan) for name in ("velocity", "broadening", *names)}
    found = (fitted["flags"] & int(Flag.NO_DATA | Flag.LOW_SNR)) == 0
    for row in np.flatnonzero(found).tolist():
        at = _fit_of(fitted, row, config, prepared.data.scale[row])
        if not np.isfinite(at).all():
            continue
        generator = np.random.default_rng([seed, row])
        drawn = draw(grid_posterior(prepared, row, at), n_draws, generator)
        doppler = 1.0 + drawn.velocity / SPEED_OF_LIGHT_KMS
        columns["velocity"][:, row] = velocity_of(doppler, config.velocity_convention)
        columns["broadening"][:, row] = drawn.broadening
        for line, name in enumerate(names):
            columns[name][:, row] = drawn.fluxes[:, line]
    return columns


def _fit_of(fitted: Result, row: int, config: FitConfig, scale: float) -> At:
    """The fit of one spectrum in optical velocity and units of the normalised noise."""
    from nebulines.cubes.grid_posterior import At

    doppler = float(doppler_factor(fitted["velocity"][row], config.velocity_convention))
    return At(
        velocity=SPEED_OF_LIGHT_KMS * (doppler - 1.0),
        velocity_err=float(fitted["velocity_err"][row]),
        broadening=float(fitted["broadening"][row]),
        broadening_err=float(fitted["broadening_err"][row]),
        noise=float(fitted["noise"][row]) / float(scale),
    )

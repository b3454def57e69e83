"""What is drawn of each galaxy before any light: history, metals, gas, dust, dispersions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.galaxies.population.ionised_gas import Gas, hii_regions, liner_gas, nuclear_gas
from nebulines.galaxies.population.ionising_photons import halpha_luminosity, old_rate, photon_rate
from nebulines.galaxies.population.numbers import table
from nebulines.galaxies.population.star_formation import (
    AGE_EDGES,
    RECENT,
    History,
    mass_formed,
    metallicities,
    population_weights,
)
from nebulines.galaxies.starlight.basis import load_starlight

_GIGAYEAR = 1e9
_REFERENCE_SFR = (-10.1, -0.2)  # log10 of the specific rate at 10^10 solar masses, and its slope


class Galaxies(NamedTuple):
    """n galaxies, no spectra yet.

    Attributes:
        weights: (n, k) mass share of each stellar population of the basis.
        line_flux: (n, L) before dust [solar luminosities].
        gas: its state.
        nucleus: (n,) share of H-alpha that an active nucleus lights.
        old_gas: (n,) share of H-alpha that old stars light.
        log_mass, log_sfr: (n,).
        av, av_clouds, dust_slope: (n,) diffuse and cloud A_V [mag], slope of the diffuse law.
        velocity_dispersion, gas_dispersion: (n,) [km/s].
        post_starburst: (n,) bool.
    """

    weights: np.ndarray
    line_flux: np.ndarray
    gas: Gas
    nucleus: np.ndarray
    old_gas: np.ndarray
    log_mass: np.ndarray
    log_sfr: np.ndarray
    av: np.ndarray
    av_clouds: np.ndarray
    dust_slope: np.ndarray
    velocity_dispersion: np.ndarray
    gas_dispersion: np.ndarray
    post_starburst: np.ndarray


class _Kinds(NamedTuple):
    """Which path (n,) a galaxy took."""

    quiescent: np.ndarray
    green: np.ndarray
    burst: np.ndarray
    post_starburst: np.ndarray
    agn: np.ndarray


def draw_galaxies(n: int, rng: np.random.Generator) -> Galaxies:
    """Draw the properties of n galaxies.

    Example:
        >>> drawn = draw_galaxies(3, np.random.default_rng(0))
        >>> drawn.weights.sum(axis=1).round(6).tolist()
        [1.0, 1.0, 1.0]
    """
    row = table()["mass"]
    log_mass = _inside(rng.normal(row["mean"], row["spread"], n), row["range"], rng)
    kinds = _draw_kinds(log_mass, rng)
    mass = mass_formed(_draw_history(log_mass, kinds, rng))
    log_ssfr = np.log10(_recent_share(mass) / RECENT)
    gas = _draw_gas(log_mass, log_ssfr, rng)
    metals = metallicities(
        mass,
        gas.oxygen_abundance
        - table()["abundance"]["solar"]
        + rng.normal(0.0, table()["abundance"]["stars_scatter"], n),
        table()["abundance"]["enrichment"],
    )
    flux, nucleus, old_gas = _line_light(mass, gas, kinds, rng)
    flux = flux * 10.0 ** log_mass[:, None]
    av, clouds, slope = _draw_dust(log_mass, kinds, rng)
    stars, moving = _draw_dispersions(log_mass, rng)
    return Galaxies(
        population_weights(mass, metals, load_starlight()),
        flux,
        gas,
        nucleus,
        old_gas,
        log_mass,
        log_mass + log_ssfr,
        av,
        clouds,
        slope,
        stars,
        moving,
        kinds.post_starburst,
    )


def _draw_kinds(log_mass: np.ndarray, rng: np.random.Generator) -> _Kinds:
    row, n = table()["kinds"], len(log_mass)
    quiescent = rng.uniform(size=n) < _rise(log_mass, row["quiescent"])
    post = rng.uniform(size=n) < row["post_starburst"]
    quiescent &= ~post
    active = ~quiescent & ~post
    green = active & (rng.uniform(size=n) < row["green"])
    burst = active & ~green & (rng.uniform(size=n) < row["burst"])
    agn = _rise(log_mass, row["agn"]) * np.where(quiescent, row["agn"]["quiescent"], 1.0)
    return _Kinds(quiescent, green, burst, post, rng.uniform(size=n) < agn)


def _rise(log_mass: np.ndarray, row: dict[str, float]) -> np.ndarray:
    return row["most"] / (1.0 + np.exp(-(log_mass - row["middle"]) / row["width"]))


def _draw_history(log_mass: np.ndarray, kinds: _Kinds, rng: np.random.Generator) -> History:
    row, n = table()["history"], len(log_mass)
    low, high = np.log10(row["tau"])
    tau = 10.0 ** (rng.uniform(low, high, n) + row["tau_slope"] * (log_mass - 10.0))
    tau = np.where(kinds.quiescent, _uniform(rng, row["tau_quiescent"], n), tau)
    quenched = np.where(kinds.quiescent, _uniform(rng, row["quenched"], n), 0.0)
    quenched = np.where(kinds.green, rng.uniform(0.1, 1.5, n), quenched)
    burst = np.where(kinds.burst, 10.0 ** rng.uniform(-3.0, -1.3, n), 0.0)
    age = np.where(kinds.burst, 10.0 ** rng.uniform(6.6, 8.7, n), _GIGAYEAR)
    strong = kinds.post_starburst
    burst = np.where(strong, 10.0 ** rng.uniform(-1.3, -0.5, n), burst)
    age = np.where(strong, 10.0 ** rng.uniform(8.4, 9.0, n), age)
    quenched = np.where(strong, age / _GIGAYEAR, quenched)
    low, high = np.log10(row["quenching_time"])
    time = np.where(strong, 0.05, 10.0 ** rng.uniform(low, high, n))
    return History(
        _uniform(rng, row["oldest"], n) * _GIGAYEAR,
        tau * _GIGAYEAR,
        quenched * _GIGAYEAR,
        time * _GIGAYEAR,
        burst,
        age,
        rng.normal(0.0, row["long_scatter"], n),
        rng.normal(0.0, row["short_scatter"], n),
    )


def _recent_share(mass: np.ndarray) -> np.ndarray:
    """Share of all stars that formed in the last 10 Myr, never quite nothing."""
    part = np.clip((RECENT - AGE_EDGES[:-1]) / np.diff(AGE_EDGES), 0.0, 1.0)
    return np.maximum(mass @ part, 1e-8)


def _draw_gas(log_mass: np.ndarray, log_ssfr: np.ndarray, rng: np.random.Generator) -> Gas:
    row, n = table()["abundance"], len(log_mass)
    level, slope = _REFERENCE_SFR
    excess = np.clip(log_ssfr - level - slope * (log_mass - 10.0), -1.0, 1.0)
    metals = row["top"] - np.log10(1.0 + 10.0 ** (row["gamma"] * (row["log_m0"] - log_mass)))
    metals = metals + row["with_star_formation"] * excess + rng.normal(0.0, row["scatter"], n)
    nitrogen = table()["nitrogen"]
    log_no = np.maximum(nitrogen["primary"], nitrogen["slope"] * metals + nitrogen["level"])
    log_no = log_no + rng.normal(0.0, nitrogen["scatter"], n)
    state = table()["ionisation"]
    log_u = state["at_solar"] + state["slope"] * (metals - row["solar"])
    log_u = log_u + state["with_star_formation"] * excess + rng.normal(0.0, state["scatter"], n)
    return Gas(metals, log_no, log_u, rng.normal(state["density"][0], state["density"][1], n))


def _line_light(
    mass: np.ndarray, gas: Gas, kinds: _Kinds, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lines (n, L) of one solar mass of stars, and the shares of H-alpha that a nucleus and
    old stars light."""
    row, n = table()["photons"], len(mass)
    used = 10.0 ** rng.normal(row["used_mean"], row["used_scatter"], n)
    below, scatter = row["old_used"]
    old_used = 10.0 ** (rng.normal(0.0, scatter, n) - np.abs(rng.normal(0.0, below, n)))
    metals = gas.oxygen_abundance - table()["abundance"]["solar"]
    old = np.einsum("nj,j->n", mass, old_rate())
    young = np.einsum("nj,nj->n", mass, photon_rate(metals)) - old
    bright, faint = halpha_luminosity(young * used), halpha_luminosity(old * old_used)
    low, high = table()["agn"]["share"]
    nucleus = np.where(kinds.agn, 10.0 ** rng.uniform(low, high, n), 0.0) * (bright + faint)
    total = bright + faint + nucleus
    lines = (
        bright[:, None] * hii_regions(gas, rng)
        + faint[:, None] * liner_gas(n, rng)
        + nucleus[:, None] * nuclear_gas(n, rng)
    )
    return lines, nucleus / total, faint / total


def _draw_dust(
    log_mass: np.ndarray, kinds: _Kinds, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    row, n = table()["dust"], len(log_mass)
    log_av = np.log10(row["av_at_10"]) + row["av_slope"] * (log_mass - 10.0)
    av = 10.0 ** (log_av + rng.normal(0.0, row["av_scatter"], n))
    av = np.where(kinds.quiescent, rng.exponential(row["av_quiescent"], n), np.minimum(av, 3.0))
    slope = row["slope_diffuse"] + rng.normal(0.0, row["slope_scatter"], n)
    return av, av * _uniform(rng, row["clouds"], n), slope


def _draw_dispersions(log_mass: np.ndarray, rng: np.random.Generator) -> tuple[Any, Any]:
    row, n = table()["dispersion"], len(log_mass)
    log_sigma = row["at_11"] + row["slope"] * (log_mass - 11.0) + rng.normal(0, row["scatter"], n)
    stars = np.clip(10.0**log_sigma, *row["range"])
    share, scatter = row["gas"]
    return stars, np.clip(stars * share * 10.0 ** rng.normal(0.0, scatter, n), *row["range"])


def _uniform(rng: np.random.Generator, limits: list[float], n: int) -> np.ndarray:
    return rng.uniform(limits[0], limits[1], n)


def _inside(values: np.ndarray, limits: tuple[float, float], rng: np.random.Generator) -> Any:
    """Values outside a range drawn anew, evenly inside it."""
    outside = (values < limits[0]) | (values > limits[1])
    return np.where(outside, rng.uniform(limits[0], limits[1], len(values)), values)

"""From star-formation histories to spectra with lines, and from lines back to a population.

DSPS makes the stars, nebulines the lines; the whole is one JAX function that is compiled,
vectorised over and differentiated.

    pip install 'nebulines[dsps]'
    python examples/paint_dsps.py
"""

import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from dsps import calc_rest_sed_sfh_table_lognormal_mdf as stellar_sed

from nebulines.galaxies import (
    SedPainter,
    binned_templates,
    load_predictor,
    ssp_templates,
    whole_sed,
)

TIMES = np.linspace(0.1, 13.5, 60)  # age of the universe, 1e9 years
NOW = 13.0
SSP = ssp_templates(every=3)  # or dsps.load_ssp_templates(FILE)
NETWORK = load_predictor("equivalent_width").network
PAINT = SedPainter(SSP.ssp_wave, NETWORK, resolution=2000.0)
BINNED = binned_templates(SSP)  # enough for equivalent widths and for the weights of templates


class Stars(NamedTuple):
    """A galaxy: ln of the time scale of star formation [1e9 years], log10 of the metal fraction,
    ln of the velocity dispersion of the gas [km/s]."""

    log_tau: Any
    log_metals: Any = -2.0
    log_broadening: Any = 4.6


def stars(galaxy: Stars, ssp: Any = BINNED) -> Any:
    """What DSPS makes: ``rest_sed`` [L_sun / Hz], or mean L_lambda in each bin, and ``weights``."""
    history = TIMES * jnp.exp(-TIMES / jnp.exp(galaxy.log_tau))
    return stellar_sed(TIMES, history, galaxy.log_metals, 0.2, *ssp[:2], ssp.ssp_flux, NOW)


def spectrum(galaxy: Stars) -> jax.Array:
    """Starlight with lines [L_sun / Hz]."""
    light = whole_sed(stars(galaxy), BINNED, SSP)
    return PAINT(light, broadening_kms=jnp.exp(galaxy.log_broadening)).flux


def widths(galaxy: Stars) -> jax.Array:
    """Equivalent widths (10,) [Angstrom]."""
    return NETWORK.predict(NETWORK.features(stars(galaxy).rest_sed[None])).ew()[0]


# ---- inference: which distribution of time scales made these equivalent widths?


def drawn(population: jax.Array, key: jax.Array, n: int) -> jax.Array:
    """asinh of measured widths (n, 10) of a population: mean and ln scatter of ln tau.

    The stars' time scales are normal draws moved and stretched by the parameters, the lines scatter
    as the network states: both are differentiable in the parameters.
    """
    first, second = jax.random.split(key)
    log_tau = population[0] + jnp.exp(population[1]) * jax.random.normal(first, (n,))
    binned = jax.vmap(lambda one: stars(Stars(one)).rest_sed)(log_tau)
    return jnp.arcsinh(NETWORK.predict(NETWORK.features(binned)).draw(second))


def summary(asinh_ew: jax.Array) -> jax.Array:
    """Quantiles (5, 4) of [O II], H-beta, [O III] and H-alpha."""
    levels = jnp.array([0.1, 0.3, 0.5, 0.7, 0.9])
    return jnp.quantile(asinh_ew[:, jnp.array([0, 2, 4, 6])], levels, axis=0)


def recover(observed: jax.Array, *, n: int = 1000, steps: int = 150, seed: int = 1) -> jax.Array:
    """Mean and ln scatter of ln tau whose quantiles are those observed, by gradient descent."""

    def misfit(population: jax.Array, key: jax.Array) -> jax.Array:
        return jnp.mean(jnp.square(summary(drawn(population, key, n)) - observed))

    rate = optax.cosine_decay_schedule(0.1, steps)
    optimiser = optax.adam(rate)

    @jax.jit
    def step(population: Any, state: Any, key: jax.Array) -> Any:
        slope = jax.grad(misfit)(population, key)
        updates, state = optimiser.update(slope, state)
        return optax.apply_updates(population, updates), state

    population = jnp.array([0.0, -2.0])
    state = optimiser.init(population)
    for key in jax.random.split(jax.random.key(seed), steps):
        population, state = step(population, state, key)
    return population


def main() -> None:
    for tau in (1.0, 3.0, 10.0):
        galaxy = Stars(jnp.log(tau))
        slope = jax.jit(jax.grad(lambda one: widths(one)[6]))(galaxy)
        sys.stdout.write(
            f"tau {tau:4.1f}: EW(H-alpha) {widths(galaxy)[6]:5.1f} A, d EW / d ln tau "
            f"{slope.log_tau:5.1f} A, {spectrum(galaxy).shape[0]} channels\n"
        )
    truth = jnp.array([1.0, jnp.log(0.5)])
    observed = summary(drawn(truth, jax.random.key(99), 5000))
    found = recover(observed)
    sys.stdout.write(
        f"population: mean ln tau {found[0]:.2f} (true {truth[0]:.2f}), "
        f"scatter {jnp.exp(found[1]):.2f} (true {jnp.exp(truth[1]):.2f})\n"
    )


if __name__ == "__main__":
    main()

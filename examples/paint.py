"""Paint emission lines on a galaxy made of an old and a young population, and differentiate them.

python examples/paint.py
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

import nebulines as nl

WAVE = np.arange(3300.0, 7100.0, 2.0)
OLD = (WAVE / 5500.0) ** 0.8 * (1.0 + 0.35 * np.tanh((WAVE - 4000.0) / 50.0))
YOUNG = (WAVE / 5500.0) ** -1.2


def halpha(young_share: jax.Array) -> jax.Array:
    """Equivalent width of H-alpha [Angstrom] as the share of young stars grows."""
    continuum = (1.0 - young_share) * OLD + young_share * YOUNG
    return nl.paint(jnp.asarray(continuum)[None], WAVE).ew[0, 6]


def main() -> None:
    for share in (0.2, 0.5, 0.8):
        slope = jax.grad(halpha)(share)
        sys.stdout.write(f"young {share:.1f}: EW {halpha(share):.1f} A, slope {slope:.1f} A\n")


if __name__ == "__main__":
    main()

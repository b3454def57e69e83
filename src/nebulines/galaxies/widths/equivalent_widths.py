"""Equivalent widths of ten lines, and the asinh scale on which networks predict them.

EW = flux of the line / continuum flux density at the line [Angstrom, rest frame], positive in
emission. y = asinh(EW / 1 Angstrom) is linear for weak and for negative widths and logarithmic
for strong ones; y normal with mean m and standard deviation s means an EW of median sinh(m),
with half of the 16 to 84 % interval [sinh(m + s) - sinh(m - s)] / 2 = cosh(m) sinh(s).
"""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.errors import UsageError
from nebulines.lines import tied_groups

LINES = (
    "OII3727",
    "HGAMMA4340",
    "HBETA4861",
    "OIII4959",
    "OIII5007",
    "NII6548",
    "HALPHA6563",
    "NII6583",
    "SII6716",
    "SII6731",
)
"""Names of the ten lines, in the order of every array (n, 10); OII3727 is the doublet."""


class LineWidths(NamedTuple):
    """Predicted distribution of the equivalent widths of n galaxies.

    asinh(EW / Angstrom) = mean + t, t normal with mean 0 and the covariance
    factor @ factor.T + diag(own^2).

    Attributes:
        mean: (n, 10) median of asinh(EW / Angstrom).
        factor: (n, 10, r) or None when the network states no scatter.
        own: (n, 10) scatter that each line has by itself, or None.
        tied: (n, 1), or None when draws need not keep the ratios of fixed doublets.
    """

    mean: jax.Array
    factor: jax.Array | None = None
    own: jax.Array | None = None
    tied: jax.Array | None = None

    def ew(self) -> jax.Array:
        """Median equivalent widths (n, 10) [Angstrom]."""
        return jnp.sinh(self.mean)

    def scatter(self) -> jax.Array:
        """Standard deviation (n, 10) of t; NaN when none is stated."""
        if self.factor is None or self.own is None:
            return jnp.full_like(self.mean, jnp.nan)
        return jnp.sqrt(jnp.sum(jnp.square(self.factor), axis=-1) + jnp.square(self.own))

    def ew_err(self) -> jax.Array:
        """Half of the 16 to 84 % interval of the equivalent widths (n, 10) [Angstrom]."""
        scatter = self.scatter()
        return jnp.cosh(self.mean) * jnp.sinh(scatter)

    def draw(self, key: jax.Array) -> jax.Array:
        """One equivalent width of each line and galaxy (n, 10) [Angstrom], lines correlated; with
        the weak lines of fixed doublets at their ratio to the strong ones where they are tied.

        Args:
            key: one for all, or (n,) one for each galaxy.

        Raises:
            UsageError: the network states no scatter.
        """
        if self.factor is None or self.own is None:
            raise UsageError(
                "draws need a network that states its scatter; the published weights state none: "
                "leave the scatter out, or use other weights"
            )
        if key.ndim:
            return jax.vmap(lambda one, row: row.draw(one))(key, self)
        shared, own = jax.random.split(key)
        normal = jax.random.normal(shared, (*self.mean.shape[:-1], self.factor.shape[-1]))
        alone = jax.random.normal(own, self.mean.shape)
        together = jnp.einsum("...lr,...r->...l", self.factor, normal.astype(self.mean.dtype))
        ew = jnp.sinh(self.mean + together + self.own * alone.astype(self.mean.dtype))
        return ew if self.tied is None else with_doublets(ew)


def with_doublets(ew: Any) -> jax.Array:
    """Widths (..., 10) with [N II] 6548 and [O III] 4959 at their fixed ratios to the lines that
    share their upper level (the continua of a pair differ by a per cent at most).

    Example:
        >>> ew = with_doublets(jnp.ones(10))
        >>> 0.3 < float(ew[LINES.index("NII6548")]) < 0.35
        True
    """
    ew = jnp.asarray(ew)
    for weak, strong, ratio in doublets():
        ew = ew.at[..., weak].set(ew[..., strong] / ratio)
    return ew


@functools.cache
def doublets() -> tuple[tuple[int, int, float], ...]:
    """Fixed doublets among the ten lines: places of the weak and the strong line, and their ratio.

    Example:
        >>> [(LINES[weak], LINES[strong]) for weak, strong, _ in doublets()]
        [('OIII4959', 'OIII5007'), ('NII6548', 'NII6583')]
    """
    found = [(LINES.index(t.weak), LINES.index(t.strong), t.ratio) for t in tied_groups(LINES)]
    return tuple(sorted(found))


@functools.cache
def _table() -> dict[str, Any]:
    path = Path(__file__).parent / "data" / "lines.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def published_names() -> tuple[str, ...]:
    """The ten lines as the published weights call them, in the order of `LINES`.

    Example:
        >>> published_names()[0]
        'OII_DOUBLET'
    """
    return tuple(row["published"] for row in _rows())


def painted_lines() -> tuple[str, ...]:
    """Lines of the catalogue that the ten widths are painted as: [O II] as two lines.

    Example:
        >>> painted_lines()[:3]
        ('OII3726', 'OII3729', 'HGAMMA4340')
    """
    return tuple(name for row in _rows() for name in row["paint"])


def masked_lines() -> tuple[str, ...]:
    """Lines of the catalogue that are masked before a spectrum is binned.

    Example:
        >>> "HDELTA4102" in masked_lines()
        True
    """
    return (*painted_lines(), *_table()["mask"]["also"])


def shares(oii_ratio: float | None = None) -> np.ndarray:
    """Which part of each predicted width goes to each painted line.

    Args:
        oii_ratio: [O II] 3729 / 3726; None = that of the table, 1.35.

    Returns:
        (10, 11) with rows that add up to one.

    Raises:
        UsageError: a ratio that is not positive.

    Example:
        >>> shares(1.0)[0, :3].tolist()
        [0.5, 0.5, 0.0]
    """
    if oii_ratio is not None and not oii_ratio > 0:
        raise UsageError(f"the ratio [O II] 3729 / 3726 must be positive, not {oii_ratio}")
    painted = painted_lines()
    matrix = np.zeros((len(LINES), len(painted)))
    for i, row in enumerate(_rows()):
        for name, share in row["paint"].items():
            matrix[i, painted.index(name)] = share
    if oii_ratio is not None:
        matrix[0, painted.index("OII3726")] = 1.0 / (1.0 + oii_ratio)
        matrix[0, painted.index("OII3729")] = oii_ratio / (1.0 + oii_ratio)
    return matrix


def published_scatter() -> tuple[np.ndarray, float]:
    """Estimated scatter (10,) of asinh EW around the published network, and the share of its
    variance that all lines have in common.

    Example:
        >>> scatter, together = published_scatter()
        >>> scatter.shape, 0 < together < 1
        ((10,), True)
    """
    table = _table()["published_scatter"]
    return np.array([table[name] for name in LINES]), float(table["together"])


def _rows() -> list[dict[str, Any]]:
    """Rows of the table, in the order of `LINES`."""
    rows = {row["name"]: row for row in _table()["line"]}
    return [rows[name] for name in LINES]

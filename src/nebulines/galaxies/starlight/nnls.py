"""Non-negative least squares of many small problems at once.

k templates are sums of r vectors, t = C v, so that the normal equations G, m of the vectors say
all about them: min 1/2 y' G y - m' y with y = C' x and x >= 0. With G = R' R this is
min |R C' x - R'^-1 m|^2, r equations however many templates there are, which the method of Lawson
and Hanson solves exactly.

Source: Lawson & Hanson 1974, Solving Least Squares Problems, chapter 23.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RIDGE = 3e-6
"""Added to the diagonal of G, in units of it: float32 cannot tell vectors apart below this."""
_ABSENT = 1e-30
_ROUNDS = 30  # passes a template in which the active set must be found: three do for nearly all


class NonNegative(NamedTuple):
    """The solution of n problems.

    Attributes:
        x: (n, k) coefficients of the templates, >= 0.
        freedom: (n, r, r) covariance that the templates which are not at zero leave to the
            vectors.
    """

    x: np.ndarray
    freedom: np.ndarray


def solve_nonnegative(gram: np.ndarray, moment: np.ndarray, mixing: np.ndarray) -> NonNegative:
    """Minimise 1/2 y' G y - m' y with y = C' x subject to x >= 0.

    Args:
        gram: (n, r, r) G, positive semi-definite.
        moment: (n, r) m.
        mixing: (k, r) C.

    Returns:
        `NonNegative`; x is 0 where every template has m' t <= 0, and where an equation is not
        finite.

    Example:
        >>> solved = solve_nonnegative(np.eye(2)[None], np.array([[2.0, -1.0]]), np.eye(2))
        >>> solved.x.round(3).tolist(), solved.freedom[0].round(3).tolist()
        ([[2.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]])
    """
    root, target = _as_least_squares(*_finite(gram, moment))
    columns = np.asarray(mixing, float) @ root
    size = np.maximum(np.sqrt(np.einsum("nkr,nkr->nk", columns, columns)), _ABSENT)
    columns = columns / size[:, :, None]
    x = np.stack([_lawson_hanson(*row) for row in zip(columns, target, strict=True)]) / size
    return NonNegative(x, _freedom(x > 0, columns, mixing / size[:, :, None]))


def _finite(gram: np.ndarray, moment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The equations in double precision, zeros where one of a problem is not finite."""
    good = np.isfinite(gram).all(axis=(1, 2)) & np.isfinite(moment).all(axis=1)
    return (
        np.where(good[:, None, None], gram, 0.0).astype(float),
        np.where(good[:, None], moment, 0.0).astype(float),
    )


def _as_least_squares(gram: np.ndarray, moment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R' (n, r, r) with G = R' R, and R'^-1 m (n, r)."""
    size = np.sqrt(np.maximum(np.diagonal(gram, axis1=1, axis2=2), _ABSENT))
    unit = gram / (size[:, :, None] * size[:, None, :])
    lower = _lower(unit + RIDGE * np.eye(gram.shape[-1]))
    target = np.linalg.solve(lower, (moment / size)[:, :, None])[:, :, 0]
    return size[:, :, None] * lower, target


def _lower(unit: np.ndarray) -> np.ndarray:
    """A with A A' = each matrix (n, r, r), with eigenvalues below `RIDGE` raised to it where
    rounding has made one negative."""
    try:
        return np.linalg.cholesky(unit)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(unit)
        return np.asarray(vectors * np.sqrt(np.maximum(values, RIDGE))[:, None, :])


def _lawson_hanson(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    """x (k,) >= 0 with the least |columns' x - target|, for columns (k, r)."""
    from scipy.optimize import lsq_linear, nnls

    try:
        return np.asarray(nnls(columns.T, target, maxiter=_ROUNDS * len(columns))[0])
    except RuntimeError:  # it went round in circles
        return np.maximum(lsq_linear(columns.T, target, (0.0, np.inf), method="bvls").x, 0.0)


def _freedom(active: np.ndarray, columns: np.ndarray, mixing: np.ndarray) -> np.ndarray:
    """C' (C G C')^-1 C (n, r, r) of the active templates, for unit columns and the mixing
    (n, k, r) that belongs to them."""
    most = max(int(active.sum(axis=1).max(initial=0)), 1)
    order = np.argsort(~active, axis=1, kind="stable")[:, :most]
    taken = np.take_along_axis(active, order, axis=1)[:, :, None]
    part, mixed = (
        np.where(taken, np.take_along_axis(of, order[:, :, None], axis=1), 0.0)
        for of in (columns, mixing)
    )
    gram = part @ part.swapaxes(1, 2) + (_STIFF + ~taken) * np.eye(most)
    return np.asarray(mixed.swapaxes(1, 2) @ np.linalg.solve(gram, mixed))


_STIFF = 1e-5  # in units of a template's own size: what is freer than this is not measured

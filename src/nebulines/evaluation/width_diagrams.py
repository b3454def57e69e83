"""The excitation diagram of a set of equivalent widths, and the shares of its classes.

[N II] 6583 / H-alpha and [O III] 5007 / H-beta from equivalent widths: the continua of each pair
are all but equal. Boundaries of `nebulines.nebular` (Kauffmann et al. 2003, Kewley et al. 2001).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.nebular.diagnostics import demarcation

_PAIRS = (("NII6583", "HALPHA6563"), ("OIII5007", "HBETA4861"))
LEAST_SNR = 3.0
CLASSES = ("star-forming", "composite", "AGN")


def bpt_points(ew: Any, ew_err: Any) -> np.ndarray:
    """log10 of both ratios (m, 2) of the galaxies whose four lines are above 3 sigma.

    Args:
        ew, ew_err: (n, 10) measured widths and their errors [Angstrom].

    Example:
        >>> bpt_points(np.full((2, 10), 5.0), np.ones((2, 10))).tolist()
        [[0.0, 0.0], [0.0, 0.0]]
    """
    ew, ew_err = np.asarray(ew, float), np.asarray(ew_err, float)
    columns = [LINES.index(name) for pair in _PAIRS for name in pair]
    seen = (ew[:, columns] > LEAST_SNR * ew_err[:, columns]).all(axis=1)
    values = np.log10(ew[seen][:, columns])
    return np.stack([values[:, 0] - values[:, 1], values[:, 2] - values[:, 3]], axis=1)


def class_shares(points: np.ndarray) -> np.ndarray:
    """Shares (3,) of star-forming, composite and AGN among points (m, 2).

    Example:
        >>> class_shares(np.array([[-1.0, -0.5], [0.2, 1.0]])).tolist()
        [0.5, 0.0, 0.5]
    """
    x, y = points.T
    forming = y < demarcation(x, "Kauffmann03")
    maximal = y < demarcation(x, "Kewley01")
    counts = [forming.sum(), (maximal & ~forming).sum(), (~maximal).sum()]
    return np.array(counts) / max(len(points), 1)

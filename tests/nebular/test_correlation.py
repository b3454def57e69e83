"""Correlated errors of lines of one fit, read back from the errors of their ratios."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nebulines.fitting.fluxes import Fluxes, flux_columns
from nebulines.fitting.result import Result
from nebulines.nebular.correlation import correlation, line_correlations
from nebulines.nebular.interpret import interpret
from nebulines.nebular.propagation import propagate
from nebulines.nebular.region_ratios import Ratio
from nebulines.nebular.region_weighing import likelihood

from .conftest import EBV, nebula_fluxes

N = 3000
BLEND, COMMON = -0.8, 0.6


def covariance(names, sigma):
    """[O II] blended, H-alpha and H-beta with an error in common."""
    matrix = np.eye(len(names))
    for pair, rho in ((("OII3726", "OII3729"), BLEND), (("HALPHA6563", "HBETA4861"), COMMON)):
        a, b = (names.index(name) for name in pair)
        matrix[a, b] = matrix[b, a] = rho
    return matrix * sigma**2


@pytest.fixture(scope="module")
def fitted():
    """A table of noisy fluxes, as a fit writes it."""
    flux = nebula_fluxes(N)
    names, truth = list(flux), np.stack(list(flux.values()), axis=1)
    matrix = covariance(names, 0.03 * truth[0, names.index("HBETA4861")])
    value = np.random.default_rng(5).multivariate_normal(truth[0], matrix, N)
    fluxes = Fluxes(value, np.broadcast_to(matrix, (N, *matrix.shape)), value)
    error = np.broadcast_to(np.sqrt(np.diag(matrix)), value.shape)
    columns = flux_columns(fluxes, error, names, 1)
    ratio = np.sqrt(np.maximum(error[:, 0] ** 2 * (2 + 2 * BLEND), 0.0)) / value[:, 2]
    oxygen = value[:, 0] + value[:, 1]
    ratio = np.hypot(ratio, oxygen / value[:, 2] ** 2 * error[:, 2])
    columns |= {"ratio_OII_HBETA4861": oxygen / value[:, 2], "ratio_OII_HBETA4861_err": ratio}
    columns = {name: np.asarray(values, np.float32) for name, values in columns.items()}
    return Result(columns | {"flags": np.zeros(N, np.int32)})


def test_correlations_come_back(fitted):
    found = line_correlations(fitted, slice(None))
    np.testing.assert_allclose(correlation(found, "HBETA4861", "HALPHA6563"), COMMON, atol=1e-3)
    np.testing.assert_allclose(correlation(found, "OII3726", "OII3729"), BLEND, atol=1e-3)
    np.testing.assert_allclose(correlation(found, "OII", "HBETA4861"), 0.0, atol=2e-3)
    np.testing.assert_allclose(correlation(found, "NII6583", "HALPHA6563"), 0.0, atol=1e-3)
    assert correlation(found, "OIII5007", "NII6583") == 0.0
    assert not {pair[::-1] for pair in found} & found.keys()


def test_errors_are_the_scatter_where_lines_share_errors(fitted):
    found = interpret(fitted)
    alone = interpret(replace(fitted, meta={"METHOD": "network"}))  # whose ratios are no fit's
    for name, truth in (("ebv", EBV), ("log_u", None)):
        middle = truth or np.nanmedian(found[name])
        honest, blind = (np.nanstd((f[name] - middle) / f[f"{name}_err"]) for f in (found, alone))
        assert honest == pytest.approx(1.0, abs=0.06), name
        assert blind < 0.9, name


def test_a_pair_that_leaves_no_variance_counts_as_independent():
    flux, error = {"A": np.ones(1), "B": np.ones(1)}, {"A": np.ones(1), "B": np.ones(1)}
    lost = propagate(lambda f: f["A"] - f["B"], flux, error, correlations={("A", "B"): 1.0})
    assert lost.error == pytest.approx(np.sqrt(2.0))
    half = propagate(lambda f: f["A"] - f["B"], flux, error, correlations={("B", "A"): 0.5})
    assert half.error == pytest.approx(1.0)


def test_the_likelihood_of_a_ratio_is_narrower_with_a_common_error():
    widths = []
    for rho in (0.0, 0.9):
        one = Ratio(*(np.array([x]) for x in (100.0, 20.0, 100.0, 20.0, 0.0, rho)))
        widths.append(float((likelihood(one.terms()) > np.exp(-0.5)).sum()))
    assert widths[1] < 0.5 * widths[0]

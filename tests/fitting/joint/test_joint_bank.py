"""Several bands by tables: what the direct path gives, for the rows that the tables can serve.

Two narrow Gaussian bands with one continuum each, of a size for which tables are not yet worth
their while, so that little is compiled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nebulines.fitting.bank import keys, path
from nebulines.fitting.config import FitConfig
from nebulines.fitting.joint import bank_path
from nebulines.fitting.joint.block import fit_objects, without_unusable
from nebulines.fitting.joint.columns import joint_columns
from nebulines.fitting.joint.direct import fit_jointly
from nebulines.fitting.joint.fluxes import Measured
from nebulines.fitting.joint.point import measure_directly, measure_jointly
from nebulines.fitting.joint.problem import joint_problem, resolve_bands
from nebulines.fitting.joint.search import find_joint_start
from nebulines.instruments import get_instrument
from nebulines.spectra import Flag
from nebulines.synthetic import simulate

N = 256
MASKED = 8
BLUE = replace(get_instrument("muse"), name="blue", band=(4800.0, 5070.0))
RED = replace(get_instrument("muse"), name="red", band=(6480.0, 6650.0))
CONFIG = FitConfig(velocity_range=(-250.0, 250.0), continuum="band")


@pytest.fixture(scope="module")
def small_groups():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path, "MIN_ROWS", 16)
        patch.setattr(bank_path, "MIN_ROWS", 16)
        patch.setattr(keys, "MIN_GROUP_NEW", 16)
        patch.setattr(bank_path, "MIN_GROUP", 8)
        yield


@pytest.fixture(scope="module")
def bands():
    """Objects of which the first have no blue band."""
    _, (blue, red) = simulate(
        [BLUE, RED], n=N, seed=9, prior="hii", snr=(8, 30), broadening=(50.0, 120.0),
        velocity=(-150.0, 150.0), ebv=(0, 0.4),
    )  # fmt: skip
    mask = np.zeros(blue.flux.shape, bool)
    mask[:MASKED] = True
    return [replace(blue, mask=mask), red]


@pytest.fixture(scope="module")
def asked(bands, small_groups):
    """What is measured, and where to begin."""
    plan = resolve_bands(bands, CONFIG)
    problem, flags = without_unusable(joint_problem(bands, plan, with_model=True), bands, plan)
    return plan, problem, flags, find_joint_start(problem.prepared)


@pytest.fixture(scope="module")
def both(asked):
    """Fits and their columns, by tables and directly, and how the objects were shared out."""
    plan, problem, flags, start = asked
    bank, path = fit_objects(problem, start)
    direct = fit_jointly(problem, start)
    tables = [joint_columns(Measured(fit, problem, plan, start), flags) for fit in (bank, direct)]
    return bank, direct, *tables, path


def test_most_objects_go_through_the_tables(both):
    path = both[-1]
    served, direct = (int(part.split(")")[0]) for part in path.split("(")[1:])
    assert served + direct == N
    assert served > 0.6 * N
    assert direct >= MASKED


@pytest.mark.parametrize(
    "name",
    ["velocity", "broadening", "HBETA4861_flux", "HALPHA6563_flux", "ratio_HALPHA6563_HBETA4861"],
)
def test_the_tables_give_what_the_direct_path_gives(both, name):
    bank, direct = both[2:4]
    error = direct[f"{name}_err"]
    known = np.isfinite(direct[name]) & (direct["flags"] & int(Flag.UNRESOLVED) == 0)
    miss = (np.abs(bank[name] - direct[name]) / error)[known]
    assert np.median(miss) < 0.02
    assert np.percentile(miss, 98) < 0.15
    ratio = (bank[f"{name}_err"] / error)[known]
    np.testing.assert_allclose(np.percentile(ratio, [2, 98]), 1.0, atol=0.03)


def test_flags_and_models_agree(both):
    bank, direct, in_tables, directly, _ = both
    assert np.mean(in_tables["flags"] == directly["flags"]) > 0.97
    assert np.all(in_tables["flags"][:MASKED] & int(Flag.MISSING_BAND))
    for one, other in zip(bank.bands, direct.bands, strict=True):
        left, right = one.model[MASKED:], other.model[MASKED:]
        seen = np.isfinite(left) & np.isfinite(right)
        assert seen.mean() > 0.5
        assert np.std((left - right)[seen]) < 0.02 * np.std(right[seen])


def test_fluxes_at_given_kinematics_agree(asked):
    _, problem, _, start = asked
    velocity, broadening = start.velocity + 10.0, start.broadening
    bank = measure_jointly(problem, velocity, broadening)
    direct = measure_directly(problem, velocity, broadening)
    for one, other in zip(bank.bands, direct.bands, strict=True):
        np.testing.assert_allclose(one.velocity[:, 0], velocity, atol=0.1)
        error = np.sqrt(np.einsum("ntt->nt", other.area_covariance))
        used = other.n_used > 0
        assert (np.abs(one.area - other.area)[used] < 0.05 * error[used]).all()
        np.testing.assert_allclose(one.chi2, other.chi2, rtol=1e-3)
    # that of the velocity: the shape variables of both paths have scales of their own
    for mine, exact in zip(bank.curvature, direct.curvature, strict=True):
        information, expected = mine[MASKED:, 0, 0], exact[MASKED:, 0, 0]
        np.testing.assert_allclose(information, expected, rtol=0.02)

"""A cube whose spaxels have axes of their own goes through the filter bank as others do."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import nebulines as nl
from nebulines.constants import ANGSTROM_PER_CM
from nebulines.fitting import fit as fit_module
from nebulines.fitting.bank.keys import FilterBank
from nebulines.fitting.bank.window import LEAST_MARGIN, common_weight, free_margins
from nebulines.fitting.config import FitConfig
from nebulines.fitting.prepared import prepare
from nebulines.instruments import get_instrument
from nebulines.spectra import Flag, Spectra
from nebulines.spectra.cube import Block
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.mock_cube import MockCube, observe_block
from nebulines.synthetic.spectra import simulated_lines
from nebulines.synthetic.truth_maps import MapScene

LINES = ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731")
SIDE, PART = 900, Block(300, 340, 300, 340)


@pytest.fixture(scope="module")
def corner() -> Spectra:
    """A corner of a field of SITELLE: its filter lies in other channels of every spaxel."""
    row, config = get_instrument("sitelle-sn3"), SimulationConfig(snr=(10.0, 25.0), noise="white")
    generator = np.random.default_rng(5)
    maps = {f"{name}_flux": np.full((SIDE, SIDE), 0.4) for name in LINES}
    maps["HALPHA6563_flux"] = generator.uniform(0.4, 1.0, (SIDE, SIDE))
    maps["velocity"] = generator.uniform(-60.0, 60.0, (SIDE, SIDE))
    maps["broadening"] = generator.uniform(20.0, 40.0, (SIDE, SIDE))
    lines = simulated_lines(row, config)
    mock = MockCube(row, config, MapScene(maps, lines.names), lines, 5, 1.0)
    spectra, _ = observe_block(mock, PART, generator)
    low, high = (ANGSTROM_PER_CM / edge / spectra.axis.scale for edge in row.band[::-1])
    values = spectra.axis.values
    mask = (values < low[:, None]) | (values > high[:, None])
    spread = mock.view(PART).spread
    return replace(spectra, variance=None, mask=mask, line_spread=spread, instrument=row.name)


def test_the_filter_lies_elsewhere_in_every_spaxel(corner):
    assert len(np.unique(corner.mask.argmin(axis=1))) > 5


def test_the_bank_serves_them_and_answers_as_the_direct_path_does(corner):
    bank = nl.fit(corner, lines=LINES, method="fit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "bank_applies", lambda *args: False)
        direct = nl.fit(corner, lines=LINES, method="fit")
    served = int(bank.meta["FITPATH"].split("(")[1].split(")")[0])
    assert served > 0.7 * len(corner)
    good = (bank["flags"] | direct["flags"]) & (Flag.UNRESOLVED | Flag.AT_BOUND) == 0
    for name in ("velocity", "broadening", "HALPHA6563_flux"):
        error = direct[f"{name}_err"][good]
        miss = np.abs(bank[name] - direct[name])[good] / error
        assert np.median(miss) < 0.05
        assert np.percentile(miss, 99) < 0.25
        ratio = bank[f"{name}_err"][good] / error
        # the noise is that of the residuals, of a few channels less
        np.testing.assert_allclose(np.percentile(ratio, [1, 99]), 1.0, atol=0.06)
        assert np.median(ratio) == pytest.approx(1.0, abs=0.01)


def test_tables_keep_the_continuum_that_every_velocity_leaves(corner):
    config = fit_module.resolve(corner, FitConfig(lines=LINES))
    ready = prepare(corner, config)
    assert ready is not None
    parts: Any = (ready.data, ready.geometry)
    wide = free_margins(*parts, replace(config, velocity_range=(-100.0, 100.0)), 0.02)
    narrow = free_margins(*parts, config, 0.02)
    assert all(0 < few < many < 0.02 for few, many in zip(narrow, wide, strict=True))
    nowhere = free_margins(*parts, replace(config, velocity_range=(-9000.0, 9000.0)), 0.02)
    assert nowhere[0] == pytest.approx(LEAST_MARGIN * 0.02, rel=0.1)
    assert np.all(common_weight(*parts) == 1.0)


def test_spectra_on_one_axis_keep_all_of_their_margin():
    weight = np.ones((3, 20), np.float32)
    weight[:, :4] = 0.0
    data: Any = SimpleNamespace(weight=weight)
    geometry: Any = SimpleNamespace(axis=SimpleNamespace(scale=None))
    assert free_margins(data, geometry, FitConfig(), 0.01) == (0.01, 0.01)
    np.testing.assert_array_equal(common_weight(data, geometry), weight[0])


def test_tables_are_made_once_enough_rows_have_asked_for_them():
    key: Any = None
    bank = FilterBank(key, np.ones(3))
    assert [bank.wanted(5, rows) for rows in (20, 11, 5, 1)] == [False, False, True, True]
    assert not bank.wanted(6, 20)

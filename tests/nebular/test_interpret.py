"""Physical columns of a result: right where lines are there, flagged where not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nebulines.errors import InputError, UsageError
from nebulines.fitting.column_names import describe, map_names
from nebulines.fitting.result import Result
from nebulines.models import extinction_laws, transmission
from nebulines.nebular import Bpt, Dust, Region, oxygen_abundance
from nebulines.nebular.atoms import emissivity
from nebulines.nebular.flags import NebularFlag
from nebulines.nebular.interpret import interpret
from nebulines.nebular.options import Options
from nebulines.nebular.region_densities import CLASS_NAMES
from nebulines.nebular.regions import SURE
from nebulines.spectra import Flag

from .conftest import DENSITY, EBV, as_result, nebula_fluxes


def without(result, *names):
    kept = {k: v for k, v in result.columns.items() if not k.startswith(names)}
    return replace(result, columns=kept)


def changed(result, column, row, value):
    values = np.array(result[column], float)
    values[row] = value
    return replace(result, columns={**result.columns, column: values})


def test_the_physics_comes_back(nebula):
    found = interpret(nebula)
    np.testing.assert_allclose(found["ebv"], EBV, atol=2e-3)
    np.testing.assert_allclose(found["electron_density"], DENSITY, rtol=0.02)
    clean = {name: flux[:1] for name, flux in nebula_fluxes(ebv=0.0).items()}
    np.testing.assert_allclose(found["oxygen_abundance"], oxygen_abundance(clean)[0], atol=2e-3)
    assert set(found["bpt_nii"]) == set(found["bpt_sii"]) == {Bpt.STAR_FORMING}
    assert set(found["bpt"]) == {Bpt.STAR_FORMING}
    assert set(found["region_class"]) == {Region.HII}
    assert found["nebular_quality"].tolist() == [0] * 6
    for name in ("ebv", "electron_density", "oxygen_abundance", "log_u"):
        assert np.all(found[f"{name}_err"] > 0)
    assert set(nebula.columns) < set(found.columns)
    assert found.meta["NEBLAW"] == "CCM89"


def test_the_temperature_where_an_auroral_line_is(nebula):
    bright = float(emissivity("OIII", ("OIII4959", "OIII5007"), 1.1e4, 100.0))
    share = float(emissivity("OIII", ("OIII4363",), 1.1e4, 100.0)) / bright
    auroral = 110.0 * (1 + 1 / 2.98) * share * transmission([4364.44], EBV)[0] * np.ones(6)
    auroral[3], auroral[4] = 0.0, 40.0
    error = np.full(6, 0.01)
    more = {"OIII4363_flux": auroral, "OIII4363_flux_err": error}
    found = interpret(replace(nebula, columns={**nebula.columns, **more}))
    np.testing.assert_allclose(found["electron_temperature"][:3], 1.1e4, rtol=0.01)
    assert np.isnan(found["electron_temperature"][3])
    assert found["nebular_quality"][3] & NebularFlag.NOT_DETECTED
    assert found["nebular_quality"][4] & NebularFlag.TEMPERATURE_LIMIT
    assert "electron_temperature" not in interpret(nebula)


def test_every_column_says_what_it_is(nebula):
    new = set(interpret(nebula).columns) - set(nebula.columns)
    assert {"bpt", "p_hii", "oxygen_abundance_err"} <= new
    assert [name for name in new if not describe(name)[1]] == []
    assert map_names(["bpt", "p_hii"], {}) == {"BPT": "bpt", "P_HII": "p_hii"}


def test_rows_are_worked_in_blocks(nebula, monkeypatch):
    whole = interpret(nebula)
    monkeypatch.setattr("nebulines.nebular.interpret._ROWS", 4)
    parts = interpret(nebula)
    for name in whole.columns:
        np.testing.assert_array_equal(whole[name], parts[name])
    none = Result({name: column[:0] for name, column in nebula.columns.items()})
    assert len(interpret(none)["region_class"]) == 0


def test_errors_are_the_scatter(nebula):
    generator, n = np.random.default_rng(8), 3000
    flux = nebula_fluxes(n)
    sigma = 0.02 * flux["HBETA4861"][0]
    noisy = {k: v + sigma * generator.standard_normal(n) for k, v in flux.items()}
    found = interpret(as_result(noisy))
    for name, truth in (("ebv", EBV), ("oxygen_abundance", None), ("log_u", None)):
        pull = (found[name] - (truth or np.median(found[name]))) / found[f"{name}_err"]
        assert np.nanstd(pull) == pytest.approx(1.0, abs=0.06), name


def test_a_class_that_is_not_sure_is_flagged():
    """[O I] between that of H II regions and that of shocks."""
    between = nebula_fluxes() | {"OI6300": 1.6 * nebula_fluxes()["OI6300"]}
    found = interpret(as_result(between))
    highest = np.max([found[f"p_{name}"] for name in CLASS_NAMES], axis=0)
    assert np.all(highest < SURE)
    assert found["nebular_quality"].tolist() == [NebularFlag.AMBIGUOUS_CLASS] * 6


def test_abundances_of_gas_that_no_young_stars_ionise_are_flagged():
    """Those of an H II region are not: the other tests see to that."""
    fluxes = nebula_fluxes()
    nucleus = fluxes | {k: 8.0 * fluxes[k] for k in ("OIII5007", "OI6300")}
    nucleus |= {"NII6583": 4.0 * fluxes["NII6583"]}
    found = interpret(as_result(nucleus))
    assert set(found["bpt_nii"]) == {Bpt.SEYFERT}
    assert np.isfinite(found["oxygen_abundance"]).all()
    assert np.all(found["nebular_quality"] & NebularFlag.NOT_STAR_FORMING)
    without = {k: v for k, v in nucleus.items() if not k.startswith(("OII", "OIII", "NII"))}
    found = interpret(as_result(without))
    assert not np.any(found["nebular_quality"] & NebularFlag.NOT_STAR_FORMING)


@pytest.mark.parametrize(
    ("column", "value", "flag"),
    [
        ("NII6583_flux", np.nan, NebularFlag.MISSING_LINE),
        ("NII6583_flux", -1.0, NebularFlag.NOT_DETECTED),
        ("NII6583_flux", 0.0, NebularFlag.NOT_DETECTED),
        ("NII6583_flux", np.inf, NebularFlag.MISSING_LINE),
        ("NII6583_flux_err", 0.0, NebularFlag.MISSING_LINE),
        ("NII6583_flux_err", -1.0, NebularFlag.MISSING_LINE),
        ("NII6583_flux_err", 1e30, NebularFlag.NOT_DETECTED),
        ("HALPHA6563_flux_err", -1.0, NebularFlag.NO_HALPHA),
        ("HALPHA6563_flux", np.nan, NebularFlag.NO_HALPHA),
        ("HALPHA6563_flux", 0.5, NebularFlag.NO_HALPHA),
        ("HBETA4861_flux", 0.1, NebularFlag.NO_EXTINCTION),
        ("HALPHA6563_flux", 60.0, NebularFlag.BELOW_CASE_B),
        ("SII6716_flux", 60.0, NebularFlag.DENSITY_LIMIT),
        ("NII6583_flux", 500.0, NebularFlag.OUTSIDE_CALIBRATION),
        ("flags", int(Flag.NOT_CONVERGED), NebularFlag.POOR_ROW),
    ],
)
def test_every_gap_has_its_flag(nebula, column, value, flag):
    config = Options(calibration="N2_M13")
    found = interpret(changed(nebula, column, 2, value), config)
    flags = found["nebular_quality"]
    assert flags[2] & flag
    assert flags[0] == 0
    floats = [v for v in found.columns.values() if v.dtype.kind == "f"]
    lost = np.any([~np.isfinite(v) for v in floats], axis=0) | (found["region_class"] == 0)
    lost |= found["bpt_nii"] == 0
    assert np.all(flags[lost] != 0)
    if flag == NebularFlag.NO_HALPHA:
        assert found["region_class"][2] == Region.UNKNOWN
        assert found["bpt_nii"][2] == Bpt.UNKNOWN
        assert np.isnan(found["p_hii"][2])


def test_lines_that_nobody_measured(nebula):
    few = without(nebula, "HBETA", "OIII", "OII", "OI6300")
    found = interpret(few, Options(calibration="N2_M13"))
    assert np.isnan(found["ebv"]).all()
    assert np.isfinite(found["electron_density"]).all()
    assert np.isfinite(found["oxygen_abundance"]).all()
    assert set(found["bpt_nii"]) == {Bpt.UNKNOWN}
    assert "bpt_sii" not in found
    assert "log_u" not in found
    assert np.all(found["nebular_quality"] & NebularFlag.NO_EXTINCTION)
    assert np.all(found["nebular_quality"] & NebularFlag.MISSING_LINE)
    assert np.isfinite(found["p_hii"]).all()
    distant = interpret(without(nebula, "HBETA"), Options(calibration="N2O2_KD02"))
    assert np.isnan(distant["oxygen_abundance"]).all()


def test_dust_of_the_milky_way_and_known_dust(nebula):
    clean = nebula_fluxes(ebv=0.0)
    found = interpret(nebula, Options(ebv=EBV))
    bare = interpret(as_result(clean), Options(ebv=0.0))
    assert found["log_u"][0] == pytest.approx(bare["log_u"][0], abs=1e-6)
    front = interpret(nebula, Options(foreground=EBV))
    np.testing.assert_allclose(front["ebv"], 0.0, atol=2e-3)
    moved = replace(nebula, meta={"REDSHIFT": "column redshift"})
    with pytest.raises(InputError, match="redshift of the rows"):
        interpret(moved, Options(foreground=0.1))


@pytest.mark.parametrize("law", extinction_laws())
def test_any_law(nebula, law):
    found = interpret(nebula, Options(dust=Dust(law)))
    assert np.all((found["ebv"] > 0.2) & (found["ebv"] < 0.4))


def test_wrong_use(nebula):
    with pytest.raises(InputError, match="_flux_err is needed; this one has fluxes of NII6583"):
        interpret(Result({"NII6583_flux": np.ones(2), "NII6583_flux_err": np.ones(2)}))
    with pytest.raises(UsageError, match="no component 2"):
        interpret(nebula, Options(component=2))
    for options in (
        {"calibration": "magic"},
        {"doublet": "OIII"},
        {"temperature": 10.0},
        {"detection": np.nan},
        {"ebv": np.inf},
        {"foreground": -1.0},
        {"dust": Dust("magic")},
        {"component": 0},
    ):
        with pytest.raises(UsageError):
            Options(**options)


def test_the_second_component(nebula):
    more = {}
    for name, values in nebula_fluxes(density=1000.0).items():
        more |= {f"{name}_2_flux": values, f"{name}_2_flux_err": nebula[f"{name}_flux_err"]}
    both = replace(nebula, columns={**nebula.columns, **more})
    found = interpret(both, Options(component=2))
    np.testing.assert_allclose(found["electron_density"], 1000.0, rtol=0.03)

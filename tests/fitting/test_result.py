"""Results: names, units, files and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from nebulines.errors import InputError, UsageError
from nebulines.fitting.column_names import describe, map_names, parse
from nebulines.fitting.result import Result
from nebulines.lines import load_catalogue
from nebulines.spectra import Flag

UNIT = "10**(-17)*erg/s/cm**2/Angstrom"


def make(n=6, shape=None, wcs=None) -> Result:
    rng = np.random.default_rng(n)
    names = ["velocity", "velocity_err", "NII6583_flux", "NII6583_flux_err", "NII6583_amplitude"]
    columns = {name: rng.normal(size=n).astype(np.float32) for name in [*names, "chi2"]}
    columns["velocity"][1] = np.nan
    columns["n_components"] = np.ones(n, np.int32)
    columns["flags"] = np.where(np.arange(n) == 1, int(Flag.LOW_SNR), 0).astype(np.int32)
    meta = {"VELCONV": "optical", "REDSHIFT": 0.1, "DEREDDEN": False, "FLUXUNIT": UNIT}
    meta["LINES"] = json.dumps({"NII6583": 6583.45})
    meta["CONFIG"] = json.dumps({"note": "long " * 40})
    return Result(columns, UNIT, meta, shape, wcs)


@pytest.fixture
def wcs() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [50.0, 10.0], [1, 2], [-1e-4, 1e-4]
    return wcs


@pytest.mark.parametrize("ending", ["fits", "ecsv"])
@pytest.mark.parametrize("shape", [None, (2, 3)])
def test_a_table_comes_back_as_it_was(tmp_path, wcs, ending, shape):
    result = make(shape=shape, wcs=wcs if shape else None)
    path = result.write(tmp_path / f"table.{ending}")
    again = Result.read(path)
    assert list(again) == list(result)
    for name in result:
        assert np.array_equal(again[name], result[name], equal_nan=name == "velocity"), name
        assert again[name].dtype == result[name].dtype
    assert again.meta == result.meta
    assert again.shape == shape
    if shape:
        assert np.allclose(again.wcs.wcs_pix2world(2, 1, 0), wcs.wcs_pix2world(2, 1, 0))
    else:
        assert again.wcs is None


def test_astropy_reads_the_fits_table_with_strict_units(tmp_path):
    path = make().write(tmp_path / "table.fits")
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        header = hdus["RESULT"].header
        for number in range(1, header["TFIELDS"] + 1):
            if unit := header.get(f"TUNIT{number}"):
                u.Unit(unit, format="fits", parse_strict="raise")
        assert header["BIT1"].startswith("LOW_SNR")
    table = Table.read(path)
    assert table["NII6583_flux"].unit == u.Unit("1e-17 erg s-1 cm-2")
    assert table["NII6583_amplitude"].unit == u.Unit("1e-17 erg s-1 cm-2 Angstrom-1")
    assert table["velocity"].unit == u.km / u.s


def test_maps_are_named_as_phangs_names_them():
    catalogue = load_catalogue()
    air = dict(zip(catalogue.names, catalogue.wavelength_air, strict=True))
    # Emsellem et al. 2022, A&A 659, A191: names of the extensions of the public PHANGS maps
    published = {
        "HBETA4861": "HB4861",
        "OIII4959": "OIII4958",
        "OIII5007": "OIII5006",
        "NII6548": "NII6548",
        "HALPHA6563": "HA6562",
        "NII6583": "NII6583",
        "SII6716": "SII6716",
        "SII6731": "SII6730",
        "OI6300": "OI6300",
        "SIII9069": "SIII9068",
    }
    maps = map_names([f"{line}_flux" for line in published], air)
    assert set(maps) == {f"{name}_FLUX" for name in published.values()}


def test_no_two_lines_of_the_catalogue_share_a_map():
    catalogue = load_catalogue()
    air = dict(zip(catalogue.names, catalogue.wavelength_air, strict=True))
    assert len(map_names([f"{line}_flux" for line in air], air)) == len(air)


def test_kinematics_are_repeated_for_the_lines_of_their_group():
    columns = ["velocity", "broadening_err", "velocity_group2", "velocity_2"]
    columns += ["HALPHA6563_flux", "OIII5007_flux", "HALPHA6563_2_flux", "flags"]
    air = {"HALPHA6563": 6562.8, "OIII5007": 5006.84}
    maps = map_names(columns, air, {"OIII5007": 2})
    assert maps["HA6562_VEL"] == "velocity"
    assert maps["HA6562_SIGMA_ERR"] == "broadening_err"
    assert maps["OIII5006_VEL"] == "velocity_group2"
    assert maps["HA6562_2_VEL"] == "velocity_2"
    assert maps["HA6562_2_FLUX"] == "HALPHA6563_2_flux"
    assert "OIII5006_SIGMA_ERR" not in maps
    assert set(maps.values()) == set(columns)


@given(
    line=st.from_regex(r"[A-Z][A-Za-z0-9]{1,9}(_[a-z]{1,3})?", fullmatch=True),
    component=st.integers(1, 9),
    quantity=st.sampled_from(["flux", "flux_limit", "amplitude", "velocity"]),
    error=st.booleans(),
)
def test_names_come_apart_as_they_were_put_together(line, component, quantity, error):
    middle = f"_{component}" if component > 1 else ""
    name = parse(f"{line}{middle}_{quantity}{'_err' if error else ''}")
    assert name[:4] == (line, component, quantity, error)


@pytest.mark.parametrize("unit", ["", "nanomaggie", "count", "Jy", UNIT])
def test_every_unit_gives_a_description(unit):
    for column in ("HALPHA6563_flux", "continuum", "velocity", "mystery"):
        text, _ = describe(column, unit)
        assert isinstance(text, str)
    assert "Angstrom" in describe("HALPHA6563_flux", "Jy")[0]


def test_maps_file_comes_back(tmp_path, wcs):
    result = make(shape=(2, 3), wcs=wcs)
    path = result.write_maps(tmp_path / "a_MAPS.fits")
    again = Result.read(path)
    assert again.shape == (2, 3)
    for name in result:
        assert np.array_equal(again[name], result[name], equal_nan=name == "velocity"), name
    assert np.array_equal(again.maps()["NII6583_FLUX"], result.image("NII6583_flux"))
    other = tmp_path / "b_MAPS.fits"
    assert np.array_equal(result.maps(other)["NII6583_FLUX"], result.image("NII6583_flux"))
    assert Result.read(other).shape == (2, 3)


def test_wrong_use_is_said(tmp_path):
    result = make()
    with pytest.raises(UsageError, match=r"\.fits or \.ecsv"):
        result.write(tmp_path / "table.txt")
    with pytest.raises(UsageError, match="it has velocity"):
        _ = result["speed"]
    with pytest.raises(UsageError, match="cube"):
        result.maps()
    with pytest.raises(InputError, match="must all be"):
        Result({"velocity": np.ones(3), "flags": np.ones(2)})
    fits.PrimaryHDU(np.ones((2, 2))).writeto(tmp_path / "image.fits")
    for name in ("image.fits", "missing.fits", "missing.ecsv"):
        with pytest.raises(InputError, match=r"not a result|does not exist"):
            Result.read(tmp_path / name)


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    from nebulines.cubes.files.canvas import Canvas

    def broken(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Canvas, "finish", broken)
    with pytest.raises(OSError, match="No space"):
        make().write(tmp_path / "table.fits")
    assert list(tmp_path.iterdir()) == []

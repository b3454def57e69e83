"""A user's own lines: what is accepted, what is refused and why."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from nebulines.errors import UsageError
from nebulines.lines import load_catalogue
from nebulines.spectral_axis import air_to_vacuum, vacuum_to_air


def write(folder, text, name="lines.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_line_is_replaced_and_one_is_added(tmp_path):
    path = write(tmp_path, "name,wavelength_air\nnii6583,6583.41\nMGI5175,5175.3\n")
    builtin, ours = load_catalogue(), load_catalogue(path)
    assert len(ours) == len(builtin) + 1
    replaced, added = (ours.select([name]) for name in ("NII6583", "MGI5175"))
    assert replaced.names == ("NII6583",)
    assert replaced.wavelength_air[0] == 6583.41
    assert replaced.wavelength_vacuum[0] == pytest.approx(float(air_to_vacuum(6583.41)))
    assert replaced.species == ("[N II]",)
    assert added.default[0]
    assert added.labels == ("MGI5175",)
    assert added.groups == ("user",)
    assert np.all(np.diff(ours.wavelength_air) >= 0)


@pytest.mark.parametrize("suffix", ["ecsv", "fits", "csv"])
def test_every_format_gives_the_same_lines(tmp_path, suffix):
    table = Table(
        {
            "name": ["FOO5000", "BAR6000"],
            "wavelength_air": [5000.0, 6000.5],
            "species": ["Foo", "Bar"],
            "label": ["Foo 5000", "Bar 6000"],
            "default": [True, False],
        }
    )
    path = tmp_path / f"lines.{suffix}"
    table.write(path)
    lines = load_catalogue(path).select(["FOO5000", "BAR6000"])
    np.testing.assert_array_equal(lines.wavelength_air, [5000.0, 6000.5])
    np.testing.assert_array_equal(lines.default, [True, False])
    assert lines.species == ("Foo", "Bar")
    assert lines.labels == ("Foo 5000", "Bar 6000")


def test_units_are_understood(tmp_path):
    path = tmp_path / "lines.ecsv"
    Table({"name": ["FOO5000"], "wavelength_vacuum": [500.1]}, units=[None, "nm"]).write(path)
    line = load_catalogue(path).select(["FOO5000"])
    assert line.wavelength_vacuum[0] == pytest.approx(5001.0)
    assert line.wavelength_air[0] == pytest.approx(float(vacuum_to_air(5001.0)))


def test_the_built_in_table_reads_back_as_itself(tmp_path):
    builtin = load_catalogue()
    path = tmp_path / "lines.ecsv"
    Table({"name": builtin.names, "wavelength_air": builtin.wavelength_air}).write(path)
    again = load_catalogue(path)
    assert again.names == builtin.names
    assert again.species == builtin.species
    np.testing.assert_allclose(again.wavelength_vacuum, builtin.wavelength_vacuum, atol=1e-3)
    np.testing.assert_array_equal(again.default, builtin.default)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("line,wavelength_air\nFOO,5000\n", "needs the columns name"),
        ("name,lambda\nFOO,5000\n", "needs the columns name"),
        ("name,wavelength_air\n", "no row"),
        ("name,wavelength_air\nFOO,five\n", "must hold wavelengths"),
        ("name,wavelength_air\nFOO,-5000\n", "row 1.*between 900 and 300000"),
        ("name,wavelength_air\nFOO,5000\nBAR,\n", "row 2.*between 900 and 300000"),
        ("name,wavelength_air\nFOO,656.28\n", "between 900 and 300000"),
        ("name,wavelength_air\nFOO,5000\nfoo,5001\n", "repeated: FOO, foo"),
        ("name,wavelength_air\nFOO 1,5000\n", "letters and digits"),
        ("name,wavelength_air\n[N II],5000\n", "letters and digits"),
        ("name,wavelength_air,default\nFOO,5000,maybe\n", "true or false"),
        ("name,wavelength_air,wavelength_vacuum\nFOO,5000,5000\n", "disagree"),
        ("", "cannot be read|needs the columns"),
    ],
)
def test_bad_tables_are_refused_with_the_reason(tmp_path, text, complaint):
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=complaint) as caught:
        load_catalogue(path)
    assert str(path) in str(caught.value)


def test_missing_wrong_and_broken_files(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load_catalogue(tmp_path / "absent.csv")
    with pytest.raises(UsageError, match="must end in"):
        load_catalogue(write(tmp_path, "x", "lines.doc"))
    with pytest.raises(UsageError, match="cannot be read"):
        load_catalogue(write(tmp_path, "not a FITS file", "lines.fits"))
    with pytest.raises(UsageError, match="cannot be read"):
        load_catalogue(write(tmp_path, "name,wavelength_air\nFOO,5000\n", "lines.ecsv"))

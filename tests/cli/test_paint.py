"""``nebulines paint`` from file to file."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner

from nebulines.cli.main import cli
from nebulines.galaxies import LINES
from nebulines.galaxies.widths.equivalent_widths import published_names
from nebulines.io import read, write_row_stacked
from nebulines.spectra import Flag, Spectra
from nebulines.spectral_axis import SpectralAxis

WAVE = np.arange(3300.0, 7100.0, 2.0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    rng = np.random.default_rng(4)
    shapes, arrays = ((64, 11), (128, 64), (64, 128), (1, 64)), {}
    for line in published_names():
        arrays |= {f"{line}_mu": np.zeros(11), f"{line}_sc": np.full(11, 0.1)}
        for k, shape in enumerate(shapes):
            arrays[f"{line}_{k}_0"] = rng.normal(0.0, shape[1] ** -0.5, shape)
            arrays[f"{line}_{k}_1"] = rng.normal(0.0, 0.3, shape[0])
    path = tmp_path_factory.mktemp("weights") / "w.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture
def continua(tmp_path):
    flux = 2.0 * (WAVE / 5500.0) ** np.linspace(-1.0, 1.0, 4)[:, None]
    flux[3, 100:600] = np.nan
    path = tmp_path / "continua.fits"
    axis = SpectralAxis(WAVE, "wavelength", "vacuum")
    write_row_stacked(path, Spectra(flux, axis, unit="erg s-1 cm-2 Angstrom-1"))
    return path


def run(*arguments):
    return CliRunner().invoke(cli, ["paint", *map(str, arguments)])


def test_the_output_is_as_documented(continua, weights, tmp_path):
    out = tmp_path / "painted.fits"
    result = run(continua, "-o", out, "--weights", weights)
    assert result.exit_code == 0, result.output
    assert "4 continua, 1 of them flagged" in result.output
    table = Table.read(out, hdu="LINES")
    expected = [name for line in LINES for name in (f"EW_{line}", f"EW_{line}_err")]
    assert table.colnames == [*expected, "flags"]
    assert table["EW_HALPHA6563"].unit == "Angstrom"
    assert table["flags"].tolist()[:3] == [0, 0, 0]
    assert table["flags"][3] & Flag.NO_DATA
    assert np.isnan(fits.getdata(out, "LINES")["EW_HALPHA6563"][3])
    before, after = read(continua), read(out)
    assert after.axis.medium == "vacuum"
    assert after.unit == before.unit
    added = np.nansum(after.flux[:3] - before.flux[:3], axis=1) * 2.0
    level = before.flux[:3, 1632]  # at H-alpha
    halpha = np.asarray(table["EW_HALPHA6563"][:3]) * level
    assert np.isfinite(added).all()
    assert np.all(np.abs(added) > 0.1 * np.abs(halpha))
    fits.open(out, checksum=True).close()


def test_draws_repeat_with_their_seed(continua, weights, tmp_path):
    widths = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / f"{name}.fits"
        run(continua, "-o", out, "--weights", weights, "--scatter", "--seed", seed, "--snr", 30)
        widths.append(np.asarray(Table.read(out, hdu="LINES")["EW_OIII5007"]))
    np.testing.assert_array_equal(widths[0], widths[1])
    assert not np.array_equal(widths[0][:3], widths[2][:3])
    assert read(out).variance is not None


def test_errors_are_one_message_with_status_2(continua, weights, tmp_path):
    out = tmp_path / "out.fits"
    cases = [
        ((continua, "-o", out, "--weights", tmp_path / "absent.npz"), "no weights"),
        ((tmp_path / "absent.fits", "-o", out, "--weights", weights), "absent.fits"),
        ((continua, "-o", out, "--weights", weights, "--broadening", "-5"), "broadening"),
        ((continua, "-o", continua, "--weights", weights), "replace the input"),
        ((continua, "-o", tmp_path / "no" / "out.fits", "--weights", weights), "does not exist"),
    ]
    for arguments, message in cases:
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert message in result.output
        assert "Traceback" not in result.output
    assert not out.exists()

"""The command line: options, files, messages and exit statuses."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from datetime import datetime

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from nebulines.cli.main import _COMMANDS, cli
from nebulines.cubes import engine
from nebulines.fitting.config import FitConfig
from nebulines.fitting.result import Result
from nebulines.io import write_row_stacked
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis

SIGMA, CENTRE = 2.0, 6564.0


def invoke(*arguments, **options):
    return CliRunner().invoke(cli, [str(a) for a in arguments], **options)


def lines_on(shape, noise=0.05):
    """Spectra (..., 90) with H alpha and [N II] on a continuum."""
    rng = np.random.default_rng(11)
    wavelength = 6520.0 + 1.25 * np.arange(90)
    flux = 2.0 + rng.normal(0, noise, (*shape, 90))
    for centre, peak in ((CENTRE, 5.0), (CENTRE * 6583.45 / 6562.8, 2.0)):
        flux += peak * np.exp(-0.5 * ((wavelength - centre) / SIGMA) ** 2)
    return wavelength, flux


@pytest.fixture
def table(tmp_path):
    wavelength, flux = lines_on((12,))
    axis = SpectralAxis(wavelength, "wavelength", "air")
    unit = "erg s-1 cm-2 Angstrom-1"
    variance = np.full(flux.shape, 0.05**2)
    path = tmp_path / "spectra.fits"
    write_row_stacked(path, Spectra(flux, axis, variance, redshift=0.0, unit=unit))
    return path


@pytest.fixture
def cube(tmp_path):
    _, flux = lines_on((6, 5))
    header = fits.Header()
    header["CTYPE3"], header["CUNIT3"], header["CRPIX3"] = "AWAV", "Angstrom", 1.0
    header["CRVAL3"], header["CDELT3"] = 6520.0, 1.25
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"], header["CDELT1"], header["CDELT2"] = 50, 10, -1e-4, 1e-4
    header["CUNIT1"] = header["CUNIT2"] = "deg"
    header["CRPIX1"], header["CRPIX2"] = 2, 3
    header["BUNIT"] = "erg s-1 cm-2 Angstrom-1"
    path = tmp_path / "cube.fits"
    fits.writeto(path, np.moveaxis(flux, -1, 0).astype("f4"), header)
    return path


FAST = ("--lines", "HALPHA6563,NII6583", "--resolution", "2500", "--velocity", "-300", "300")


def files(folder):
    return sorted(p.name for p in folder.iterdir())


def test_help_names_every_command_without_importing_them():
    code = "import sys; from nebulines.cli.main import cli; cli(['--help'], standalone_mode=False);"
    code += "heavy = {'numpy', 'jax', 'astropy', 'tqdm', 'scipy', 'nebulines.cli.fit'};"
    code += "print('HEAVY', sorted(heavy & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for name in _COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_has_help(name):
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


@pytest.mark.parametrize("name", sorted(set(_COMMANDS) - {"info", "lines", "instruments"}))
def test_every_command_that_writes_takes_output(name):
    module, function, _ = _COMMANDS[name]
    command = getattr(importlib.import_module(module), function)
    names = {option for parameter in command.params for option in parameter.opts}
    assert {"-o", "--output"} <= names


def test_spectra_give_a_table_and_its_configuration(table, tmp_path):
    out = tmp_path / "out.fits"
    result = invoke("fit", table, "-o", out, *FAST)
    assert result.exit_code == 0, result.stderr
    assert "fitted 12 spectra" in result.stdout
    assert str(out) in result.stdout
    measured = Result.read(out)
    velocity = 299792.458 * (CENTRE / 6562.80 - 1)
    pull = (measured["velocity"] - velocity) / measured["velocity_err"]
    assert np.abs(np.mean(pull)) < 4 / np.sqrt(12)
    assert np.all(np.abs(pull) < 5)
    area = 5.0 * SIGMA * np.sqrt(2 * np.pi)
    assert np.median(measured["HALPHA6563_flux"]) == pytest.approx(area, rel=0.02)
    config = FitConfig.from_toml(tmp_path / "out_CONFIG.toml")
    assert config.velocity_range == (-300, 300)
    assert files(tmp_path) == ["out.fits", "out_CONFIG.toml", "spectra.fits"]


def test_a_run_is_repeated_from_its_configuration(table, tmp_path):
    assert invoke("fit", table, "-o", tmp_path / "a.ecsv", *FAST).exit_code == 0
    again = invoke("fit", table, "-o", tmp_path / "b.ecsv", "--config", tmp_path / "a_CONFIG.toml")
    assert again.exit_code == 0, again.stderr
    assert "NO_DATA: no usable channel" in (tmp_path / "a.ecsv").read_text()
    first, second = Result.read(tmp_path / "a.ecsv"), Result.read(tmp_path / "b.ecsv")
    assert datetime.fromisoformat(first.meta["DATE"]).year >= 2025
    assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)


def test_options_override_the_configuration(table, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text('[fit]\nlines = ["HALPHA6563"]\nresolution = 2500.0\n[run]\nchunk = 5\n')
    done = invoke("fit", table, "-o", tmp_path / "o.fits", "--config", config, "--lines", "NII6583")
    assert done.exit_code == 0, done.stderr
    assert Result.read(tmp_path / "o.fits").lines == ["NII6583"]
    saved = tomllib.loads((tmp_path / "o_CONFIG.toml").read_text())
    assert saved["fit"]["resolution"] == 2500.0


def test_a_cube_gives_maps_and_model(cube, tmp_path):
    out = tmp_path / "ngc"
    result = invoke("fit", cube, "-o", out, *FAST, "--bin", "2", "--table")
    assert result.exit_code == 0, result.stderr
    written = ["ngc_CONFIG.toml", "ngc_MAPS.fits", "ngc_MODEL.fits", "ngc_TABLE.fits"]
    assert files(tmp_path) == ["cube.fits", *written]
    for name in written[1:]:
        with fits.open(tmp_path / name, checksum=True) as hdus:
            hdus.verify("exception")
    maps = Result.read(tmp_path / "ngc_MAPS.fits")
    assert maps.meta["NOISE"] == "estimated"
    velocity = 299792.458 * (CENTRE / 6562.80 - 1)
    assert np.median(maps["velocity"]) == pytest.approx(velocity, abs=3)
    assert tomllib.loads((tmp_path / "ngc_CONFIG.toml").read_text())["run"]["bin"] == 2


def test_the_prefix_of_a_cube_may_end_in_fits(cube, tmp_path):
    result = invoke("fit", cube, "-o", tmp_path / "a.fits", *FAST, "--no-model", "--quiet")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert files(tmp_path) == ["a_CONFIG.toml", "a_MAPS.fits", "cube.fits"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.fits", "-o", "a.fits"], "does not exist"),
        (["spectra.fits", "spectra.fits", "-o", "a.fits", "--instrument", "muse"], "for 2 inputs"),
        (["spectra.fits", "other.fits", "-o", "a.fits", "--components", "2"], "one velocity"),
        (["spectra.fits", "other.fits", "spectra.fits", "-o", "a.fits"], "given twice"),
        (["spectra.fits", "-o", "a.csv"], ".fits or .ecsv"),
        (["spectra.fits", "-o", "no/where/a.fits"], "output folder"),
        (["spectra.fits", "-o", "."], "is a folder"),
        (["spectra.fits", "-o", "spectra.fits"], "replace the input"),
        (
            ["spectra.fits", "-o", "a.fits", "--method", "network", "--components", "2"],
            "one component",
        ),
        (["spectra.fits", "-o", "a.fits", "--bin", "2"], "needs a cube"),
        (["spectra.fits", "-o", "a.fits", "--lines", "NOTALINE1"], "unknown line"),
        (["spectra.fits", "-o", "a.fits", "--lines", " , "], "at least one line"),
        (["spectra.fits", "-o", "a.fits", "--velocity", "300", "-300"], "low below high"),
        (["spectra.fits", "-o", "a.fits", "--redshift", "far"], "neither a number nor 'auto'"),
        (["spectra.fits", "-o", "a.fits", "--redshift", "3"], "band"),
        (["spectra.fits", "-o", "a.fits", "--instrument", "telescope"], "telescope"),
        (["spectra.fits", "-o", "a.fits", "--config", "bad.toml"], "unknown flit"),
        (["spectra.fits", "-o", "a.fits", "--config", "none.toml"], "cannot read"),
        (["spectra.fits", "-o", "a.fits", "--config", "kind.toml"], "of the wrong kind"),
        (["spectra.fits", "-o", "a.fits", "--templates", "mastar"], "--continuum stellar"),
        (["spectra.fits"], "Missing option"),
    ],
)
def test_wrong_use_is_one_message_and_status_2(table, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text("[flit]\nlines = 3\n")
    (tmp_path / "kind.toml").write_text("[fit]\nlines = 3\n")
    shutil.copy(table, "other.fits")
    before = files(tmp_path)
    result = invoke("fit", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "content", [b"", b"plain text", b"SIMPLE  =  ", b"\x89HDF\r\n\x1a\n" + b"0" * 9]
)
@pytest.mark.parametrize("command", ["fit", "info"])
def test_unreadable_input_is_one_message_and_status_2(tmp_path, content, command):
    (tmp_path / "input.fits").write_bytes(content)
    output = ["-o", tmp_path / "o.fits"] if command == "fit" else []
    result = invoke(command, tmp_path / "input.fits", *output)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert "input.fits" in result.stderr
    assert files(tmp_path) == ["input.fits"]


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (RuntimeError("unforeseen"), "--debug"),
        (OSError(28, "No space left on device"), "No space left"),
        (KeyboardInterrupt(), "interrupted"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_failed_run_is_one_message_and_status_1(table, tmp_path, monkeypatch, failure, message):
    real = engine.load()

    def broken(spectra, config, **options):
        raise failure

    monkeypatch.setattr(engine, "load", lambda method="fit": real._replace(fit_block=broken))
    result = invoke("fit", table, "-o", tmp_path / "o.fits", *FAST)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert files(tmp_path) == ["spectra.fits"]


def test_debug_shows_the_traceback(table, tmp_path, monkeypatch):
    real = engine.load()

    def broken(spectra, config, **options):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(engine, "load", lambda method="fit": real._replace(fit_block=broken))
    result = invoke("--debug", "fit", table, "-o", tmp_path / "o.fits", *FAST)
    assert isinstance(result.exception, RuntimeError)


def test_an_interrupted_run_goes_on_with_resume(cube, tmp_path, monkeypatch):
    real, calls = engine.load(), []

    def interrupted(spectra, config, **options):
        calls.append(len(spectra))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real.fit_block(spectra, config, **options)

    monkeypatch.setattr(engine, "load", lambda method="fit": real._replace(fit_block=interrupted))
    arguments = ["fit", cube, "-o", tmp_path / "a", *FAST, "--chunk", "10", "--resume"]
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert "run the same command again" in result.stderr
    assert not (tmp_path / "a_MAPS.fits").exists()
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    assert calls == [10, 10, 10, 10]
    assert "fitted 20 spectra" in result.stdout
    assert np.isfinite(Result.read(tmp_path / "a_MAPS.fits")["velocity"]).all()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused_first(table, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    result = invoke("fit", table, "-o", folder / "o.fits")
    assert result.exit_code == 2
    assert "not writable" in result.stderr


def test_info_says_what_would_be_fitted(table):
    result = invoke("info", table)
    assert result.exit_code == 0, result.stderr
    assert "12 spectra x 90 channels" in result.stdout
    assert "HALPHA6563, NII6583 at redshift 0" in result.stdout


def test_lists_hold_what_the_tables_hold():
    lines = invoke("lines").stdout
    assert "HALPHA6563" in lines
    assert "6562.80" in lines
    assert len(invoke("lines", "--default").stdout.splitlines()) < len(lines.splitlines())
    assert "sitelle-sn3" in invoke("instruments").stdout


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts deaf to it
from nebulines.cubes import engine
real = engine.load()
def slow(spectra, config, **options):
    print("fitting", flush=True)
    time.sleep(30)
engine.load = lambda method: real._replace(fit_block=slow)
from nebulines.cli.main import main
sys.argv = ["nebulines", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_cleanly(table, tmp_path, how):
    command = [sys.executable, "-c", SLOW, "fit", str(table), "-o", str(tmp_path / "o.fits")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "fitting\n"
        start = time.monotonic()
        process.send_signal(how)
        _, errors = process.communicate(timeout=20)
    assert time.monotonic() - start < 15
    assert process.returncode == 1
    assert errors.strip() == "Error: interrupted: nothing was left under the final names"
    assert files(tmp_path) == ["spectra.fits"]

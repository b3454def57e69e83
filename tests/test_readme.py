"""The two commands of the README are those that run, and its examples work."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.errors import NebulinesError
from nebulines.io import write_row_stacked
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
UNIT = "10**-20 erg s-1 cm-2 Angstrom-1"
VELOCITY = -600.0
REDSHIFT = 0.0881
LINES = {6548.05: 0.33, 6562.80: 1.0, 6583.45: 1.0, 6716.44: 0.5, 6730.82: 0.4}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def set_up_lines() -> list[str]:
    return [b.strip() for b in blocks("sh") if b.startswith("python3 -m venv")]


def test_two_commands_set_everything_up():
    assert set_up_lines() == [
        "python3 -m venv .venv && .venv/bin/pip install '.[demo]' && .venv/bin/nebulines demo",
        "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest",
    ]


def test_continuous_integration_runs_the_readme_line():
    script = ROOT / ".ci" / "run"
    assert set_up_lines()[1] in script.read_text(encoding="utf-8").splitlines()
    assert os.access(script, os.X_OK)


def test_extras_of_the_readme_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(re.findall(r"'\.\[(\w+)\]'", README))
    assert extras == {"demo", "test"}
    assert extras <= set(project["optional-dependencies"])
    assert "nebulines" in project["scripts"]


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_links_lead_somewhere(page):
    path = ROOT / page
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    files = [link for link in links if not link.startswith("benchmarks/")]
    assert files
    missing = [link for link in files if not (path.parent / link).exists()]
    assert missing == []


def spectra_of(n: int) -> Spectra:
    """Ha, [N II] and [S II] at -600 km/s, S/N about 40 in a channel."""
    wavelength = np.arange(6900.0, 7400.0, 1.25)
    flux = np.full((n, wavelength.size), 20.0)
    for rest, strength in LINES.items():
        at = rest * (1 + REDSHIFT) * (1 + VELOCITY / SPEED_OF_LIGHT_KMS)
        flux += 200.0 * strength * np.exp(-0.5 * ((wavelength - at) / 2.6) ** 2)
    noisy = flux + np.random.default_rng(3).normal(0, 5.0, flux.shape)
    axis = SpectralAxis(wavelength, "wavelength", "air")
    variance = np.full_like(noisy, 25.0)
    return Spectra(noisy, axis, variance, redshift=REDSHIFT, instrument="muse", unit=UNIT)


def write_cube(path: Path, spectra: Spectra, shape: tuple[int, int]) -> None:
    from astropy.io import fits

    def extension(name: str, values: np.ndarray, unit: str) -> fits.ImageHDU:
        data = values.reshape(*shape, -1).transpose(2, 0, 1).astype(np.float32)
        hdu = fits.ImageHDU(data, name=name)
        hdu.header.update(
            CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CTYPE3="AWAV", CUNIT1="deg", CUNIT2="deg",
            CUNIT3="Angstrom", CRVAL1=63.35, CRVAL2=10.46, CRVAL3=spectra.axis.values[0],
            CRPIX1=3.0, CRPIX2=2.0, CRPIX3=1.0, CD1_1=-5.6e-5, CD2_2=5.6e-5, CD3_3=1.25,
            BUNIT=unit,
        )  # fmt: skip
        return hdu

    primary = fits.PrimaryHDU()
    primary.header["INSTRUME"] = "MUSE"
    data = extension("DATA", spectra.flux, "10**(-20)*erg/s/cm**2/Angstrom")
    variance = "(10**(-20)*erg/s/cm**2/Angstrom)**2"
    fits.HDUList([primary, data, extension("STAT", spectra.variance, variance)]).writeto(path)


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """A folder with the input files that the examples name."""
    write_cube(tmp_path / "cube.fits", spectra_of(30), (5, 6))
    write_row_stacked(tmp_path / "spectra.fits", spectra_of(12))
    (tmp_path / "lines.csv").write_text(blocks("text")[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_examples_run(inputs):
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(block, names)
    assert np.nanmedian(names["result"]["velocity"]) == pytest.approx(VELOCITY, abs=5)
    assert names["table"]["velocity"].data == pytest.approx(np.full(12, VELOCITY), abs=30)
    for name in ("maps.fits", "few.png", "few.pdf"):
        assert (inputs / name).stat().st_size > 2000


def test_shell_examples_run(inputs):
    from click.testing import CliRunner

    from nebulines.cli.main import cli

    commands = [c for b in blocks("sh") for c in b.splitlines() if c.startswith("nebulines ")]
    assert len(commands) >= 4
    for command in commands:
        outcome = CliRunner().invoke(cli, shlex.split(command)[1:])
        assert outcome.exit_code == 0, f"{command}: {outcome.output}"
    made = {path.name for path in inputs.iterdir()}
    assert {"gas_MAPS.fits", "gas_MODEL.fits", "table.ecsv", "iron_MAPS.fits"} <= made


def example(script: str):
    """The module of an example script."""
    path = ROOT / "examples" / f"{script}.py"
    spec = importlib.util.spec_from_file_location(script, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_of_several_bands_says_what_it_lacks(tmp_path):
    with pytest.raises(NebulinesError, match="does not exist"):
        example("fit_three_filters").main("SN1.hdf5", "SN2.hdf5", str(tmp_path / "dust.fits"))


@pytest.mark.parametrize(
    ("script", "arguments", "made"),
    [
        ("fit_cube", ["cube.fits", "gas", "0.0881"], ["gas_MAPS.fits", "gas.png", "gas.pdf"]),
        ("fit_row_stacked", ["spectra.fits", "good.ecsv"], ["good.ecsv"]),
        ("own_lines", ["spectra.fits"], []),
        ("paint", [], []),
        ("denoise", ["clean.fits"], ["clean.fits"]),
        ("explore", ["300"], ["galaxies.html", "galaxies.png"]),
    ],
)
def test_example_scripts_run(inputs, script, arguments, made, capsys):
    example(script).main(*arguments)
    assert all((inputs / name).stat().st_size > 500 for name in made)
    if script == "own_lines":
        assert "MYSTERY6620_flux_limit" in capsys.readouterr().out


def test_every_example_script_is_tested():
    tested = {"denoise", "fit_cube", "fit_row_stacked", "own_lines", "paint", "explore"}
    tested |= {"fit_three_filters", "paint_dsps"}  # the latter in tests/galaxies/test_dsps.py
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == tested

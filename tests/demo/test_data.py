"""The demonstration's cube is found without importing the package that carries it."""

import subprocess
import sys

import pytest

from nebulines.demo import run_demo
from nebulines.demo.data import CUBE, find_cube
from nebulines.errors import InputError, UsageError


@pytest.fixture
def only_package(tmp_path, monkeypatch):
    """A search path on which mpdaf is installed, with nothing in it."""
    info = tmp_path / "mpdaf-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mpdaf\nVersion: 9.9\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def test_cube_is_found_through_the_metadata_of_the_package(only_package):
    cube = only_package / CUBE
    cube.parent.mkdir(parents=True)
    cube.write_bytes(b"SIMPLE")
    assert find_cube() == cube


def test_package_without_its_cube_is_told_apart(only_package):
    with pytest.raises(InputError, match=r"mpdaf 9\.9 is installed without its file"):
        find_cube()


def test_missing_package_gives_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(UsageError, match=r"pip install 'nebulines\[demo\]'"):
        find_cube()
    with pytest.raises(UsageError, match="not installed"):
        run_demo(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mpdaf_is_not_imported():
    code = (
        "import sys; from nebulines.demo.data import find_cube\n"
        "from nebulines.errors import NebulinesError\n"
        "try: find_cube()\n"
        "except NebulinesError: pass\n"
        "assert 'mpdaf' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_folder_that_cannot_be_made_is_refused_before_the_fit(tmp_path, monkeypatch):
    monkeypatch.setattr("nebulines.demo.run.find_cube", lambda: tmp_path / "none.fits")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another one"):
        run_demo(tmp_path / "file")

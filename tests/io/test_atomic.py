"""Files appear whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.io import Scan, write_row_stacked, write_sitelle
from nebulines.io.atomic import atomic_path, check_writable
from nebulines.spectra import Spectra
from nebulines.spectra.cube import Block
from nebulines.spectral_axis import SpectralAxis


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    final = tmp_path / "out.fits"
    final.write_text("old")

    def write_half() -> None:
        with atomic_path(final) as partial:
            partial.write_text("half")
            raise error("stopped")

    with pytest.raises(error):
        write_half()
    assert final.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.fits"]


def test_the_final_name_appears_at_the_end(tmp_path):
    final = tmp_path / "out.fits"
    with atomic_path(final) as partial:
        partial.write_text("whole")
        assert partial.parent == final.parent
        assert partial.name.endswith(".partial")
        assert not final.exists()
    assert final.read_text() == "whole"


def test_refusals(tmp_path):
    (tmp_path / "there.fits").write_text("old")
    with pytest.raises(UsageError, match="does not exist"):
        check_writable(tmp_path / "nowhere" / "out.fits")
    with pytest.raises(UsageError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(UsageError, match="exists"):
        check_writable(tmp_path / "there.fits", overwrite=False)


def test_read_only_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("nebulines.io.atomic.os.access", lambda path, mode: False)
    axis = SpectralAxis(np.array([5000.0, 5001.0]), "wavelength", "air")
    with pytest.raises(UsageError, match="not writable"):
        write_row_stacked(tmp_path / "out.fits", Spectra(np.ones((1, 2)), axis))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_turns_out_read_only(tmp_path):
    with pytest.raises(UsageError, match="not writable"), atomic_path(tmp_path / "out.fits"):
        raise PermissionError(13, "Permission denied")


def test_a_cube_whose_blocks_fail_is_not_left_behind(tmp_path):
    def blocks():
        yield Block(0, 1, 0, 4), np.ones((4, 20))
        raise RuntimeError("simulation failed")

    scan = Scan.of("sitelle-sn3", n_steps=20, zpd_index=4)
    with pytest.raises(RuntimeError):
        write_sitelle(tmp_path / "cube.hdf5", blocks(), scan=scan, shape=(2, 4))
    with pytest.raises(UsageError, match="cover 4 of 8"):
        write_sitelle(
            tmp_path / "cube.hdf5",
            [(Block(0, 1, 0, 4), np.ones((4, 20)))],
            scan=scan,
            shape=(2, 4),
        )
    assert not list(tmp_path.iterdir())

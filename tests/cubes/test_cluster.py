"""Blocks on a Dask cluster: the same files as here, in order, few blocks ahead."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from nebulines.cli.main import cli
from nebulines.cubes.cluster import AHEAD, fit_on_cluster
from nebulines.cubes.run import fit_cube
from nebulines.errors import NebulinesError, UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.result import Result
from nebulines.io import write_row_stacked
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis


class FakeClient:
    """A scheduler whose workers are this process."""

    workers = 2

    def __init__(self, address, timeout):
        if "nowhere" in address:
            raise OSError("timed out")
        self.waiting, self.most = 0, 0
        FakeClient.last = self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def nthreads(self):
        return dict.fromkeys(range(self.workers), 1)

    def submit(self, function, *arguments, pure):
        assert not pure
        self.waiting += 1
        self.most = max(self.most, self.waiting)

        def result():
            self.waiting -= 1
            return function(*arguments)

        return SimpleNamespace(result=result)


@pytest.fixture
def dask(monkeypatch):
    package, module = ModuleType("dask"), ModuleType("dask.distributed")
    module.Client = FakeClient
    package.distributed = module
    monkeypatch.setitem(sys.modules, "dask", package)
    monkeypatch.setitem(sys.modules, "dask.distributed", module)


def test_maps_are_those_of_a_run_here(fake, dask, cube, tmp_path):
    config = FitConfig(redshift=0.01)
    here = fit_cube(cube, config, tmp_path / "here", max_spaxels=5)
    there = fit_cube(cube, config, tmp_path / "there", max_spaxels=5, scheduler="tcp://far:8786")
    assert fake.calls == 14
    assert FakeClient.last.most == AHEAD * FakeClient.workers
    first, second = Result.read(here.paths[0]), Result.read(there.paths[0])
    assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)


def test_blocks_come_back_in_order(dask):
    jobs = [(number, 10 * number) for number in range(7)]
    found = list(fit_on_cluster("tcp://far:8786", jobs, lambda job: job + 1, lambda x: -x))
    assert found == [(n, 10 * n, 10 * n + 1, -10 * n - 1) for n in range(7)]


def test_a_scheduler_that_cannot_serve_is_told(dask, monkeypatch):
    with pytest.raises(UsageError, match="no Dask scheduler answers at tcp://nowhere:1: timed"):
        list(fit_on_cluster("tcp://nowhere:1", [(0, 0)], abs, abs))
    monkeypatch.setattr(FakeClient, "workers", 0)
    with pytest.raises(NebulinesError, match="has no workers"):
        list(fit_on_cluster("tcp://far:8786", [(0, 0)], abs, abs))


def test_without_dask_the_extra_is_named_and_nothing_left(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    axis = SpectralAxis(np.arange(6500.0, 6600.0), "wavelength", "air")
    write_row_stacked(tmp_path / "in.fits", Spectra(np.ones((2, 100)), axis, unit="Jy"))
    options = ["-o", str(tmp_path / "o.fits"), "--scheduler", "tcp://far:8786"]
    done = CliRunner().invoke(cli, ["fit", str(tmp_path / "in.fits"), *options])
    assert done.exit_code == 2
    assert "nebulines[cluster]" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.fits"]

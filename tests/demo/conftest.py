"""The demonstration, run once for all its tests."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from nebulines.demo import run_demo
from nebulines.demo.data import find_cube
from nebulines.errors import NebulinesError
from nebulines.fitting.result import Result


@dataclass(frozen=True)
class Demo:
    """What one run left: its paths, what it said, and its table."""

    paths: dict[str, Path]
    said: list[str]
    result: Result

    @property
    def folder(self) -> Path:
        return self.paths["report"].parent


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Demo:
    try:
        find_cube()
    except NebulinesError as error:
        pytest.skip(str(error))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        paths = run_demo(tmp_path_factory.mktemp("demo") / "nebulines-demo")
    return Demo(paths, said.getvalue().splitlines(), Result.read(paths["table"]))

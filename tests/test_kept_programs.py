"""Compiled programs outlive the process, and never stand for another program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.kept_programs import forget_programs, keep_programs, source_files

TRACED: list[str] = []


@keep_programs(static_argnames=("power",))
def scaled(x, factor=2.0, *, power=1):
    TRACED.append("scaled")
    return {"y": factor * x**power}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no program in the process."""
    monkeypatch.setenv("NEBULINES_CACHE", str(tmp_path))
    forget_programs()
    TRACED.clear()
    return tmp_path / "programs"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_new_process_does_not_trace(folder):
    x = np.arange(3, dtype=np.float32)
    first = scaled(x, power=2)["y"]
    assert len(TRACED) == 1
    assert len(files(folder)) == 1
    forget_programs()  # as a new process has none
    assert np.array_equal(scaled(x, power=2)["y"], first)
    assert len(TRACED) == 1


def test_each_kind_of_arguments_has_its_own_program(folder):
    x = np.arange(3, dtype=np.float32)
    for _ in range(2):
        assert np.array_equal(scaled(x)["y"], [0, 2, 4])
        assert np.array_equal(scaled(x, 3.0)["y"], [0, 3, 6])  # of the same kind
        assert np.array_equal(scaled(x, power=2)["y"], [0, 2, 8])
        assert np.array_equal(scaled(np.arange(2))["y"], [0, 2])
        assert np.array_equal(scaled(factor=x, x=x)["y"], [0, 1, 4])
        forget_programs()
    assert len(files(folder)) == len(TRACED) == 4


def test_settings_have_their_own_programs(folder):
    x = np.arange(3, dtype=np.float32)
    scaled(x)
    with jax.default_matmul_precision("highest"):
        scaled(x)
    with jax.enable_x64(True):
        assert scaled(x.astype(float))["y"].dtype == float
    assert len(files(folder)) == len(TRACED) == 3


@pytest.mark.parametrize("blob", [b"", b"no program", b"\x80\x04N."])
def test_a_damaged_file_is_replaced(folder, blob):
    x = np.arange(3, dtype=np.float32)
    scaled(x)
    (path,) = files(folder)
    path.write_bytes(blob)
    forget_programs()
    assert np.array_equal(scaled(x)["y"], [0, 2, 4])
    assert len(TRACED) == 2
    assert path.stat().st_size > 100


def test_the_file_of_another_program_is_not_taken(folder):
    x = np.arange(3, dtype=np.float32)
    scaled(x, power=2)
    (other,) = files(folder)
    scaled(x)
    (mine,) = set(files(folder)) - {other}
    mine.write_bytes(other.read_bytes())
    forget_programs()
    assert np.array_equal(scaled(x)["y"], [0, 2, 4])


def test_a_folder_that_cannot_be_made_is_no_error(folder):
    folder.write_text("a file in its place")
    assert np.array_equal(scaled(np.arange(3))["y"], [0, 2, 4])


def test_inside_other_compiled_functions():
    assert float(jax.grad(lambda x: scaled(x, power=3)["y"])(2.0)) == pytest.approx(24.0)
    assert jax.jit(lambda x: scaled(x)["y"])(jnp.ones(2)).tolist() == [2.0, 2.0]
    with jax.disable_jit():
        assert scaled(jnp.ones(2))["y"].tolist() == [2.0, 2.0]


def test_the_source_is_that_of_all_imported_modules():
    """What Python loads with a module, its fingerprint must follow."""
    import nebulines.fitting.direct.solve  # noqa: F401

    code = """
import sys, nebulines.fitting.direct.solve
print(*(m.__file__ for name, m in sys.modules.items() if name.startswith("nebulines.")))
"""
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    known = {path.resolve() for path in source_files("nebulines.fitting.direct.solve")}
    missing = {Path(file).resolve() for file in loaded} - known
    assert {path.name for path in missing} <= {"__init__.py"}
    assert len(loaded) > 8

"""Settings made before JAX is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nebulines.runtime import cache_folder, configure


def test_the_user_has_the_last_word(tmp_path):
    settings = {"NEBULINES_CACHE": str(tmp_path / "mine"), "XDG_CACHE_HOME": "/elsewhere"}
    assert cache_folder(settings) == tmp_path / "mine"
    settings["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "9"
    configure(settings)
    assert settings["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "mine" / "jax")
    assert settings["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "9"


def test_without_a_folder_nothing_is_cached(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    settings = {"NEBULINES_CACHE": str(tmp_path / "file")}
    configure(settings)
    assert not {name for name in settings if "CACHE" in name} - {"NEBULINES_CACHE"}


@pytest.mark.parametrize(
    "first",
    [
        "from nebulines.runtime import configure; configure(); import jax",
        "import jax; from nebulines.runtime import configure; configure()",
        "import nebulines as nl; nl.fit; import jax",
        "import sys; from nebulines.cli.main import main; sys.argv[1:] = ['fit', '-h'];"
        "exec('try: main()\\nexcept SystemExit: pass'); import jax",
    ],
)
def test_compiled_programs_outlive_the_process(tmp_path, first):
    code = f"{first}; jax.jit(lambda x: x * 2 + 1)(1.0).block_until_ready()"
    environment = {"NEBULINES_CACHE": str(tmp_path), "PATH": "", "HOME": str(tmp_path)}
    environment["JAX_PLATFORMS"] = "cpu"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list((tmp_path / "jax").iterdir())


def test_compiled_code_runs_in_the_thread_that_calls_it(tmp_path):
    code = (
        "import jax; from nebulines.runtime import configure; configure();"
        "print(jax.config.values['jax_cpu_enable_async_dispatch'])"
    )
    environment = {"NEBULINES_CACHE": str(tmp_path), "PATH": "", "HOME": str(tmp_path)}
    for given, expected in (({}, "False"), ({"JAX_CPU_ENABLE_ASYNC_DISPATCH": "true"}, "True")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            env=environment | given,
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip() == expected

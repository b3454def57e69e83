"""What all tests share."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nebulines.runtime import configure

COMPILE_QUICKLY = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
"""Tests spend their time on compiling programs for a handful of spectra: this halves it. The same
operations are carried out; ``XLA_FLAGS`` that name an optimization level are left as they are."""

if "optimization_level" not in (flags := os.environ.get("XLA_FLAGS", "")):
    os.environ["XLA_FLAGS"] = f"{flags} {COMPILE_QUICKLY}".strip()
configure(inline=False)  # before any test imports JAX: what one test compiles the others load

MANY_MAPS = 25_000
"""Memory maps of a process, of which Linux allows 65 530: every compiled program takes several."""


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs() -> Iterator[None]:
    """Compiled programs of thousands of tests would exhaust the maps of one process, and the
    compiler with them."""
    yield
    maps = Path("/proc/self/maps")
    if "jax" in sys.modules and maps.exists() and maps.read_bytes().count(b"\n") > MANY_MAPS:
        from nebulines.kept_programs import forget_programs

        sys.modules["jax"].clear_caches()
        forget_programs()
        gc.collect()

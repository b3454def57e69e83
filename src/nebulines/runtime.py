"""Settings that must be in place before JAX is imported."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any


def cache_folder(environment: MutableMapping[str, str] | None = None) -> Path:
    """Folder of the compilation cache.

    ``NEBULINES_CACHE`` when it is set, else ``nebulines`` in ``XDG_CACHE_HOME``, else
    ``~/.cache/nebulines``; compiled programs lie in its subfolder ``jax``.

    Example:
        >>> cache_folder({"XDG_CACHE_HOME": "/scratch"}).as_posix()
        '/scratch/nebulines'
    """
    environment = os.environ if environment is None else environment
    if own := environment.get("NEBULINES_CACHE"):
        return Path(own)
    if shared := environment.get("XDG_CACHE_HOME"):
        return Path(shared) / "nebulines"
    return Path.home() / ".cache" / "nebulines"


_DISPATCH = "jax_cpu_enable_async_dispatch"


def configure(environment: MutableMapping[str, str] | None = None, *, inline: bool = True) -> None:
    """Let compiled programs outlive the process, so that the second start is fast, use the
    widest vectors of the processor (1.4 to 2 times faster on x86 with AVX-512), and run compiled
    code in the thread that calls it.

    JAX's own dispatch puts all longer programs into one queue, where those of two threads wait
    for each other. JAX 0.10 heeds this only where it is imported already; on the command line,
    where it is not, no difference in speed was found.

    The verbs and the command call it before they import JAX. Where JAX was imported earlier, the
    vector width stays as it is, and after the first computation so does the rest. What the user
    already set in the environment (``JAX_COMPILATION_CACHE_DIR`` ...) is kept; where the folder
    cannot be made, nothing is cached and nothing else changes.

    Args:
        environment: the variables to set; None = those of this process.
        inline: False leaves the dispatch to JAX, for training, whose steps and batches come from
            two threads that have nothing to gain from each other.

    Example:
        >>> settings = {"JAX_COMPILATION_CACHE_DIR": "/scratch/mine"}
        >>> configure(settings)
        >>> settings["JAX_COMPILATION_CACHE_DIR"]
        '/scratch/mine'
    """
    environment = os.environ if environment is None else environment
    if platform.machine() in ("x86_64", "AMD64") and "jaxlib" not in sys.modules:
        flags = environment.get("XLA_FLAGS", "")
        if "prefer_vector_width" not in flags:
            environment["XLA_FLAGS"] = f"{flags} --xla_cpu_prefer_vector_width=512".strip()
    if inline:
        _dispatch_inline(environment)
    if _FOLDER.upper() not in environment:
        folder = cache_folder(environment) / "jax"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        environment[_FOLDER.upper()] = str(folder)
    for name in _THRESHOLDS:
        environment.setdefault(name.upper(), "0")
    if environment is os.environ and "jax" in sys.modules:
        _tell_jax(sys.modules["jax"].config)


_FOLDER = "jax_compilation_cache_dir"
_THRESHOLDS = (
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


def _tell_jax(config: Any) -> None:
    """What JAX reads from the environment when it is imported, for one that is already."""
    if not config.values[_FOLDER]:
        config.update(_FOLDER, os.environ[_FOLDER.upper()])
        for name in _THRESHOLDS:
            config.update(name, type(config.values[name])(float(os.environ[name.upper()])))


def _dispatch_inline(environment: MutableMapping[str, str]) -> None:
    environment.setdefault(_DISPATCH.upper(), "false")
    if environment is os.environ and "jax" in sys.modules:
        wanted = environment[_DISPATCH.upper()].casefold() not in ("false", "0", "off", "no")
        sys.modules["jax"].config.update(_DISPATCH, wanted)

"""Compiled functions that the next process loads without tracing them again.

JAX keeps compiled code between processes, but finds it only after it has traced and lowered the
function, in Python: a second for the fit of one spectrum. Here the program lies under a name that
the source of the package, the versions, the processor and the shapes of the arguments make up, and
a new process has it in the time that it takes to read it.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import pickle
import platform
import re
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, update_wrapper
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import jax
import numpy as np
from jax.experimental import serialize_executable

from nebulines.runtime import cache_folder


def keep_programs(*, static_argnames: Iterable[str] = ()) -> Callable[[Callable[..., Any]], Any]:
    """``jax.jit`` whose programs outlive the process.

    Inside another compiled function, under ``jax.disable_jit``, on several devices and where
    nothing can be kept, it is ``jax.jit`` and nothing else.

    Args:
        static_argnames: as of ``jax.jit``; their values need a ``repr`` that tells them apart.

    Returns:
        A decorator.

    Example:
        >>> import jax.numpy as jnp
        >>> @keep_programs(static_argnames=("power",))
        ... def scaled(x, power):
        ...     return x**power
        >>> scaled(jnp.arange(3.0), power=2).tolist()
        [0.0, 1.0, 4.0]
    """
    return lambda function: KeptPrograms(function, tuple(static_argnames))


_every: weakref.WeakSet[KeptPrograms] = weakref.WeakSet()


def forget_programs() -> None:
    """Let go of all programs that this process has loaded, as ``jax.clear_caches`` does; what
    lies in the folder stays.

    Example:
        >>> forget_programs()
    """
    for function in _every:
        function.forget()


class KeptPrograms:
    """What `keep_programs` makes of a function."""

    def __init__(self, function: Callable[..., Any], static_argnames: tuple[str, ...]) -> None:
        update_wrapper(self, function)
        self._function = function
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._signature = inspect.signature(function)
        self._static = static_argnames
        self._jitted = jax.jit(function, static_argnames=static_argnames)
        self._programs: dict[Any, Any] = {}
        self._lock = threading.Lock()
        _every.add(self)

    @property
    def loaded(self) -> bool:
        """Whether this process has any program of the function."""
        return bool(self._programs)

    def forget(self) -> None:
        """Let go of the programs."""
        self._programs.clear()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        fixed = {name: bound.arguments.pop(name) for name in self._static}
        leaves, structure = jax.tree.flatten(bound.arguments)
        settings = jax.config.values
        if not _can_be_kept(leaves, settings):
            return self._jitted(*args, **kwargs)
        kinds, precision = tuple(map(_kind, leaves)), _precision(settings)
        known = tuple(fixed.values()), structure, kinds, precision
        program = self._programs.get(known)
        if program is None:
            key = repr((self._name, fixed, str(structure), kinds, precision))
            with self._lock:
                program = self._programs.get(known) or self._find(key, bound.arguments, fixed)
                self._programs[known] = program
        return program(**bound.arguments)

    def _find(self, key: str, arguments: dict[str, Any], fixed: dict[str, Any]) -> Any:
        """The program from the folder, or compiled and put there."""
        folder = _folder(self._function.__module__)
        if folder is None:
            return self._jitted.lower(**arguments, **fixed).compile()
        path = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        # whatever is wrong with a file: the program is compiled anew and the file replaced
        with contextlib.suppress(Exception):
            return _load(path.read_bytes(), key, arguments)
        program = self._renamed().lower(**arguments, **fixed).compile()
        with contextlib.suppress(Exception):
            blob = _dump(program, key)
            # not every program survives this
            jax.block_until_ready(_load(blob, key, arguments)(**arguments))
            _write(path, blob)
        return program

    def _renamed(self) -> Any:
        """The function under a name that never was: JAX must not take the program from its own
        cache, since what was loaded from there cannot be written again."""

        def renamed(*args: Any, **kwargs: Any) -> Any:
            return self._function(*args, **kwargs)

        update_wrapper(renamed, self._function)
        renamed.__name__ = renamed.__qualname__ = f"{self._function.__name__}_{uuid4().hex}"
        return jax.jit(renamed, static_argnames=self._static)


def _kind(leaf: Any) -> tuple[Any, ...]:
    """What a program must know of an argument; `jax.typeof` takes ten times as long."""
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf.shape, leaf.dtype.str, False
    if isinstance(leaf, jax.Array):
        return leaf.shape, leaf.dtype.str, leaf.weak_type
    found = jax.typeof(leaf)
    return found.shape, found.dtype.str, found.weak_type


def _can_be_kept(leaves: list[Any], settings: Mapping[str, Any]) -> bool:
    return (
        not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        and not settings["jax_disable_jit"]
        and jax.device_count() == 1
    )


def _precision(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """What else a program depends on."""
    return settings["jax_enable_x64"], settings["jax_default_matmul_precision"]


def _dump(program: Any, key: str) -> bytes:
    code, _, result = serialize_executable.serialize(program)
    return pickle.dumps((key, code, result))


def _load(blob: bytes, key: str, arguments: dict[str, Any]) -> Any:
    found, code, result = pickle.loads(blob)
    if found != key:
        raise ValueError("another program")
    structure = jax.tree.structure(((), arguments))
    return serialize_executable.deserialize_and_load(code, structure, result)


def _write(path: Path, blob: bytes) -> None:
    """The whole file or none of it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(blob)
            file.flush()
            os.replace(file.name, path)
        except OSError:
            os.unlink(file.name)
            raise


def _folder(module: str) -> Path | None:
    """Where programs of a module's source on this machine lie; None where nothing is kept."""
    values = jax.config.values
    if not (values["jax_enable_compilation_cache"] and values["jax_compilation_cache_dir"]):
        return None
    try:
        source = source_fingerprint(module)
    except (OSError, AttributeError):  # a function without a file
        return None
    facts = (
        source,
        *(version(name) for name in ("jax", "jaxlib")),
        jax.default_backend(),
        jax.devices()[0].device_kind,
        platform.machine(),
        platform.system(),
        _processor(),
        os.environ.get("XLA_FLAGS", ""),
    )
    folder = cache_folder() / "programs" / hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder


_IMPORT = re.compile(
    rb"^\s*(?:from|import) +(nebulines[\w.]*)(?: +import +(\(?[^)#]*?)(?:\)|\n(?!\s)|\Z))?", re.M
)


@lru_cache(maxsize=64)
def source_fingerprint(module: str) -> str:
    """Of the source of a module of this package and of all that it imports from it.

    Example:
        >>> import nebulines.constants
        >>> len(source_fingerprint("nebulines.constants"))
        64
    """
    known = hashlib.sha256()
    for path in sorted(source_files(module)):
        known.update(path.read_bytes())
    return known.hexdigest()


def source_files(module: str) -> set[Path]:
    """Files of an imported module and of what it imports from this package, however indirectly.

    Example:
        >>> import nebulines.small_tiles
        >>> sorted(path.name for path in source_files("nebulines.small_tiles"))
        ['small_tiles.py']
    """
    root = Path(__file__).parent.parent
    found: set[Path] = set()
    asked = [Path(str(sys.modules[module].__file__)).with_suffix("")]
    while asked:
        base = asked.pop()
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path in found or not path.exists():
                continue
            found.add(path)
            for origin, names in _IMPORT.findall(path.read_bytes()):
                here = root.joinpath(*origin.decode().split("."))
                asked += [here, *(here / name for name in re.findall(r"\w+", names.decode()))]
    return found


def _processor() -> str:
    """What the processor can do, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")

"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nebulines.errors import UsageError


@contextmanager
def atomic_path(final: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary path beside ``final`` that becomes ``final`` when the block succeeds.

    The temporary name ends in ``.partial`` and lies in the same folder, so the last step is
    one rename. When the block fails or is interrupted (Ctrl-C too) it is removed, and a file
    that stood under the final name is untouched.

    Args:
        final: the path to write; its folder must exist.
        overwrite: False refuses to replace a file that exists.

    Yields:
        The temporary path; the block writes a file there and closes it.

    Raises:
        UsageError: the folder is missing or read-only, ``final`` is a folder, or it exists
            and ``overwrite`` is False.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_path(folder / "table.txt") as partial:
        ...     _ = partial.write_text("whole")
        >>> [path.name for path in folder.iterdir()]
        ['table.txt']
    """
    final = Path(final)
    check_writable(final, overwrite=overwrite)
    partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, final)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, PermissionError):
            raise _read_only(final.parent) from error
        raise


def check_writable(final: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Refuse an output path that cannot be written, before any work is done for it.

    Raises:
        UsageError: see `atomic_path`.

    Example:
        >>> import tempfile
        >>> check_writable(Path(tempfile.mkdtemp()) / "out.fits")
    """
    final = Path(final)
    folder = final.parent
    if not folder.is_dir():
        raise UsageError(
            f"the output folder {folder} does not exist: create it, or choose another output"
        )
    if final.is_dir():
        raise UsageError(f"the output {final} is a folder: give the name of a file")
    if final.exists() and not overwrite:
        raise UsageError(f"the output {final} exists: remove it, or allow overwriting")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _read_only(folder)


def _read_only(folder: Path) -> UsageError:
    return UsageError(
        f"the output folder {folder} is not writable: choose a folder where you may write"
    )

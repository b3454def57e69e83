"""Large mock files, written block by block, and commands run on them with their cost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.mocks import FIVE_LINES
from nebulines.constants import SINC_FWHM_PER_WIDTH
from nebulines.instruments import sitelle
from nebulines.io.sitelle_parameters import Scan
from nebulines.io.write_sitelle import write_sitelle
from nebulines.lines import load_catalogue
from nebulines.models import line_positions, lines_at_offsets
from nebulines.spectra import Spectra
from nebulines.spectra.cube import Block


class Cost(NamedTuple):
    """What a command took: wall seconds, largest resident memory [MB], and where it failed the
    last line of its message."""

    seconds: float
    memory_mb: float
    error: str = ""


def run_command(arguments: list[str], cache_folder: Path) -> Cost:
    """Run ``python -m nebulines ARGUMENTS`` and measure it from its start to its exit.

    Args:
        arguments: of the command.
        cache_folder: of compiled programs; an empty one makes a cold start.
    """
    return _cost([sys.executable, "-m", "nebulines", *arguments], cache_folder)


def run_script(text: str, arguments: list[str], cache_folder: Path) -> Cost:
    """The same for a few lines of Python."""
    return _cost([sys.executable, "-c", text, *arguments], cache_folder)


_LAUNCHER = """
import os, sys, time
begin = time.perf_counter()
words = sys.argv[1:]
process = os.posix_spawn(words[0], words, os.environ)
_, status, usage = os.wait4(process, 0)
print(time.perf_counter() - begin, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""
"""Starts a command from a small process: the system counts the memory of whoever starts a
command towards that command's own peak."""


def _cost(words: list[str], cache_folder: Path) -> Cost:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    environment["NEBULINES_CACHE"] = str(cache_folder)
    done = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, memory, status = done.stdout.strip().splitlines()[-1].split()
    error = ""
    if int(status):
        error = (done.stderr.strip().splitlines() or [f"exit status {status}"])[-1]
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return Cost(float(seconds), float(memory) / unit, error)


def write_rows(path: Path, spectra: Spectra, n: int) -> float:
    """A row-stacked file of ``n`` spectra that repeats those given; its size [MB]."""
    from astropy.io import fits
    from astropy.table import Table

    path.unlink(missing_ok=True)
    fits.PrimaryHDU().writeto(path)
    assert spectra.variance is not None
    error = np.sqrt(np.asarray(spectra.variance))
    for name, values in (("FLUX", spectra.flux), ("ERR", error)):
        _append_image(path, name, np.asarray(values, np.float32), n)
    spread = spectra.line_spread
    assert spread is not None
    tiles = -(-n // len(spectra))
    resolution = np.tile(np.broadcast_to(spread.resolution, (len(spectra),)), tiles)[:n]
    rows = Table({"resolution": resolution, "instrument": [spectra.instrument] * n})
    axis = fits.ImageHDU(spectra.axis.values, name="WAVENUMBER")
    axis.header["AIRORVAC"] = "air"
    with fits.open(path, mode="append") as file:
        file.append(axis)
        file.append(fits.BinTableHDU(rows, name="SPECTRA"))
    return path.stat().st_size / 1e6


def _append_image(path: Path, name: str, values: np.ndarray, n: int) -> None:
    from astropy.io import fits

    header = fits.ImageHDU(values[:1], name=name).header
    header["NAXIS2"] = n
    header["BUNIT"] = "erg s-1 cm-2 Angstrom-1"
    stored = values.astype(">f4")
    with open(path, "ab") as file:
        file.write(header.tostring().encode("ascii"))
        written = 0
        for start in range(0, n, len(stored)):
            part = stored[: min(len(stored), n - start)]
            file.write(part.tobytes())
            written += part.nbytes
        file.write(b"\0" * (-written % 2880))


def write_cube(path: Path, size: int, seed: int = 5) -> float:
    """A SITELLE SN3 cube of ``size`` x ``size`` spaxels with a calibration map: a rotating disc
    seen through the field's varying angle, S/N 5-30; its size [MB]."""
    scan = Scan.of("sitelle-sn3")
    y, x = np.mgrid[:size, :size] / size - 0.5
    corrections = 1.03 + 0.02 * (x + 0.5) + 0.01 * (y + 0.5)
    write_sitelle(
        path,
        _cube_blocks(scan, corrections, x, y, seed),
        scan=scan,
        shape=(size, size),
        calib_map=corrections * scan.nm_laser,
        header={"OBJECT": "mock"},
    )
    return path.stat().st_size / 1e6


def _cube_blocks(
    scan: Scan, corrections: np.ndarray, x: np.ndarray, y: np.ndarray, seed: int
) -> Iterator[tuple[Block, np.ndarray]]:
    size = len(corrections)
    height = max(1, min(size, 1024 // size))
    generator = np.random.default_rng(seed)
    for first in range(0, size, height):
        rows = slice(first, min(first + height, size))
        correction = corrections[rows].ravel()
        velocity = (150.0 * np.tanh(6.0 * x[rows]) + 20.0 * y[rows]).ravel()
        snr = (5.0 + 25.0 * np.exp(-8.0 * np.hypot(x, y)[rows])).ravel()
        spectra = _spaxels(scan, correction, velocity, snr, generator)
        yield Block(rows.start, rows.stop, 0, size), spectra


def _spaxels(
    scan: Scan,
    correction: np.ndarray,
    velocity: np.ndarray,
    snr: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    n = len(correction)
    axis = sitelle.wavenumber_axis(scan.n_steps, scan.step_nm, scan.order, correction)
    fwhm = sitelle.sinc_fwhm_cm1(scan.n_steps, scan.zpd_index, scan.step_nm, correction)
    rest = line_positions("wavenumber", load_catalogue().select(FIVE_LINES).wavelength("air"))
    fluxes = 1e-16 * np.broadcast_to([0.1, 1.0, 0.3, 0.2, 0.15], (n, 5))
    model = np.asarray(
        _model()(
            (axis[:, None, :] - rest[:, None]).astype(np.float32),
            rest,
            velocity,
            np.full(n, 25.0),
            fluxes / 1e-16,
            np.broadcast_to((fwhm / SINC_FWHM_PER_WIDTH)[:, None], (n, 5)),
        )
    )
    sigma = model.max(axis=1) / snr
    noise = generator.standard_normal(model.shape, np.float32) * sigma[:, None]
    return (model + noise) * np.float32(1e-16)


@cache
def _model() -> Any:
    import jax

    def model(*arrays: Any) -> Any:
        return lines_at_offsets(*arrays, spread_shape="sinc", kind="wavenumber")

    return jax.jit(model)

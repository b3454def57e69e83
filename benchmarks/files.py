"""Large mock files, written block by block, and commands run on them with their cost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.mocks import FIVE_LINES
from nebulines.spectra import Spectra
from nebulines.spectra.cube import Block
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.cubes import write_cube as write_mock_cube
from nebulines.synthetic.rendering import Kinematics
from nebulines.synthetic.spaxels import Spaxels


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


class Disc:
    """A scene for timings: a rotating disc, broadening 25 km/s, S/N 5 to 30.

    Args:
        size: of the square field.
    """

    def __init__(self, size: int) -> None:
        self.shape = (size, size)

    def spaxels(self, block: Block) -> Spaxels:
        """What the spaxels of a block show, row by row."""
        rows, columns = np.mgrid[block.y0 : block.y1, block.x0 : block.x1]
        y, x = (a.ravel() / self.shape[0] - 0.5 for a in (rows, columns))
        ones = np.ones(len(y))
        fluxes = np.broadcast_to([0.1, 1.0, 0.3, 0.2, 0.15], (len(y), 5))
        lines = Kinematics(150.0 * np.tanh(6.0 * x) + 20.0 * y, 25.0 * ones, fluxes)
        snr = 5.0 + 25.0 * np.exp(-8.0 * np.hypot(x, y))
        return Spaxels(lines, None, snr, 0.0 * ones, 0.0 * ones, ones.astype(int), ones > 0)


def write_cube(path: Path, size: int, seed: int = 5) -> float:
    """A SITELLE SN3 cube of ``size`` x ``size`` spaxels with a calibration map; its size [MB]."""
    config = SimulationConfig(lines=FIVE_LINES)
    write_mock_cube(path, "sitelle-sn3", seed=seed, config=config, scene=Disc(size))
    return path.stat().st_size / 1e6

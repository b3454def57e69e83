"""Mock cubes in the instrument's own format, with maps of their truth."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.instruments import Instrument, get_instrument
from nebulines.io.atomic import atomic_path
from nebulines.io.sitelle_parameters import NM_LASER
from nebulines.io.write_muse import UNIT, write_muse
from nebulines.io.write_sitelle import write_sitelle
from nebulines.spectra import Spectra
from nebulines.spectra.cube import Block
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.mock_cube import MockCube, bands, observe_block
from nebulines.synthetic.scene import Galaxy
from nebulines.synthetic.spaxels import Place, Scene
from nebulines.synthetic.spectra import simulated_lines
from nebulines.synthetic.truth_files import TruthMaps, truth_meta, truth_path

if TYPE_CHECKING:
    from astropy.wcs import WCS

_NOISE = {"sitelle": 1e-18, "muse": 20.0}  # of a channel, in the unit of the data
_PIXEL_ARCSEC = {"sitelle": 0.32, "muse": 0.2}
_CENTRE_DEG = (150.0, 2.2)


def write_cube(
    output: str | os.PathLike[str],
    instrument: str,
    shape: tuple[int, int] | None = None,
    seed: int = 0,
    *,
    config: SimulationConfig | None = None,
    scene: Scene | None = None,
    advance: Callable[[int], Any] | None = None,
) -> tuple[Path, Path]:
    """Write a mock cube and the maps of its truth, a few rows in memory at a time.

    The noise is the same in every spaxel of a cube; the scene says where the lines stand out
    of it. A SITELLE cube has the field angle of the whole field of view across it, whatever
    its size, in its calibration map.

    Args:
        output: ``.hdf5`` for a band of SITELLE (the observatory's format), ``.fits`` for MUSE.
        instrument: a band of SITELLE, or ``muse``.
        shape: (ny, nx); None = that of the scene.
        seed: of the random generator.
        config: ranges, continuum, noise, band; None = defaults. ``resolution`` of a SITELLE
            cube sets the length of the scan (the middle of the range).
        scene: what the cube shows; None = `scene.Galaxy`.
        advance: called with the number of spaxels written since its last call.

    Returns:
        Paths of the cube and of the truth, ``OUT_TRUTH.fits``, whose extensions are named as
        the maps of a fit.

    Raises:
        UsageError: an instrument without a cube format, a name that does not end as the
            format does, a folder that cannot be written.

    Example:
        >>> import tempfile
        >>> from nebulines.io import read
        >>> folder = Path(tempfile.mkdtemp())
        >>> cube, truth = write_cube(folder / "mock.hdf5", "sitelle-sn3", (4, 6), seed=1)
        >>> read(cube).shape, truth.name
        ((4, 6, 842), 'mock_TRUTH.fits')
    """
    output, config = Path(output), config or SimulationConfig()
    row = get_instrument(instrument)
    kind = _kind(row, output)
    names = simulated_lines(row, config).names
    if scene is None:
        if shape is None:
            raise UsageError("a mock cube needs its size: shape = (ny, nx)")
        scene = Galaxy(shape, names, config, seed)
    unit = UNIT if kind == "muse" else row.unit
    mock = MockCube(row, config, scene, simulated_lines(row, config), seed, _NOISE[kind])
    wcs = _wcs(scene.shape, _PIXEL_ARCSEC[kind])
    meta = truth_meta(config, instrument=row.name, names=names, seed=seed, unit=unit)
    meta["REGIONS"] = json.dumps({place.name: int(place) for place in Place})
    with atomic_path(truth_path(output)) as partial:
        truth = TruthMaps(partial, scene.shape, meta, wcs)
        blocks = _blocks(mock, truth, advance)
        _FORMATS[kind](output, mock, blocks, wcs)
        truth.finish()
    return output, truth_path(output)


def _kind(row: Instrument, output: Path) -> str:
    kind = "sitelle" if row.is_scan else row.name
    if kind not in _FORMATS:
        raise UsageError(
            f"mock cubes are written for the bands of SITELLE and for muse, not for {row.name}: "
            "simulate spectra instead"
        )
    suffix = ".hdf5" if kind == "sitelle" else ".fits"
    if output.suffix != suffix:
        raise UsageError(f"a cube of {row.name} ends in {suffix}, not {output.suffix or 'nothing'}")
    return kind


def _blocks(
    mock: MockCube, truth: TruthMaps, advance: Callable[[int], Any] | None
) -> Iterator[tuple[Block, Spectra]]:
    """Spectra of each block; their truth is written on the way."""
    for number, block in enumerate(bands(mock.scene.shape)):
        generator = np.random.default_rng((mock.seed, number))
        spectra, columns = observe_block(mock, block, generator)
        truth.add(slice(block.y0, block.y1), slice(block.x0, block.x1), columns)
        yield block, spectra
        if advance:
            advance(block.size)


def _write_sitelle(output: Path, mock: MockCube, blocks: Any, wcs: WCS) -> None:
    write_sitelle(
        output,
        ((block, spectra.flux) for block, spectra in blocks),
        scan=mock.scan,
        shape=mock.scene.shape,
        calib_map=mock.correction * NM_LASER,
        header={"OBJECT": "mock", **_cards(wcs)},
    )


def _write_muse(output: Path, mock: MockCube, blocks: Any, wcs: WCS) -> None:
    write_muse(
        output, blocks, shape=mock.scene.shape, axis=mock.axis, wcs=wcs, header={"OBJECT": "mock"}
    )


_FORMATS: dict[str, Callable[[Path, MockCube, Any, Any], None]] = {
    "sitelle": _write_sitelle,
    "muse": _write_muse,
}


def _wcs(shape: tuple[int, int], pixel_arcsec: float) -> WCS:
    """A tangent plane, north up, east to the left."""
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = list(_CENTRE_DEG)
    wcs.wcs.crpix = [0.5 * (shape[1] + 1), 0.5 * (shape[0] + 1)]
    wcs.wcs.cdelt = [-pixel_arcsec / 3600.0, pixel_arcsec / 3600.0]
    return wcs


def _cards(wcs: WCS) -> dict[str, Any]:
    return {key: value for key, value in wcs.to_header().items() if key != "WCSAXES"}

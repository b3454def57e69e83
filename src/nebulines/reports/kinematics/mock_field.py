"""Mock cubes, of a galaxy that is made up and of a real one's maps, held against their truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.evaluation import nmad
from nebulines.evaluation.methods import QUANTITIES, Measured, Method
from nebulines.evaluation.out_of_range import WARNED
from nebulines.evaluation.tables import markdown
from nebulines.instruments import get_instrument
from nebulines.io.atomic import atomic_path
from nebulines.plots.comparison import residual_maps_figure
from nebulines.plots.style import save_figure
from nebulines.reports.kinematics.plan import Plan
from nebulines.reports.page import pictures, prepare_folder
from nebulines.reports.section import Section
from nebulines.spectra import Cube, Spectra

_INSTRUMENT = "sitelle-sn3"
_BLOCK = 4096
_SNR = (3.0, 50.0)
_SNR_EDGES = (3.0, 5.0, 10.0, 20.0, np.inf)
_LINE = "HALPHA6563"
_NOT_FOR_CUBES = ("starnet",)  # made for one axis; every spaxel of a SITELLE cube has its own


_TEXT = """SITELLE SN3 cubes in the observatory's format, the field angle of the whole field of view
across them, white noise that the file does not state. Grey spaxels are flagged (a second component
included) or without a line above S/N 3. The paper's figure 8 shows the same of a field of M33, with
the final fit in the place of the truth, smoothed by 2 pixels; ours are not smoothed. In the maps of
a real field the weaker [N II] line follows the stronger one, as theory says.
`starnet` is left out: it is made for one axis, and every spaxel of a SITELLE cube has its own."""


@dataclass(frozen=True)
class Field:
    """A mock cube with its truth.

    Attributes:
        name, text: short, and for people.
        command: that makes the same cube.
        cube: opened.
        truth: ``velocity``, ``broadening``, ``snr`` (peak of H-alpha over noise), each (ny, nx).
    """

    name: str
    text: str
    command: str
    cube: Cube
    truth: dict[str, np.ndarray]


def mock_field(plan: Plan) -> Section:
    """Measure mock cubes and map the residuals (figure 8 of the paper)."""
    fields = [_galaxy(plan)]
    note = "The maps of a real field were not given (`--truth-maps FOLDER`)."
    if plan.truth_maps is not None:
        fields.append(_real_field(plan, plan.truth_maps))
        note = ""
    sections = [_measured(plan, field) for field in fields]
    parts = [_TEXT, *(part for section in sections for part in section.parts), note]
    numbers = {k: v for section in sections for k, v in section.numbers.items()}
    return Section([p for p in parts if p], numbers, [p for s in sections for p in s.paths])


def _galaxy(plan: Plan) -> Field:
    """An M33-like galaxy: rotating disc, H II regions, shells of two components, stars."""
    size = 40 if plan.quick else 128
    path = plan.folder / "mock_galaxy.hdf5"
    text = f"A made-up galaxy, {size} x {size} spaxels: disc, H II regions, shells, stars"
    options = f"--cube {size}x{size}"
    return _field(plan, path, text, options, (size, size), None)


def _real_field(plan: Plan, maps: Path) -> Field:
    """A cube whose spaxels show what maps of a real galaxy say."""
    from nebulines.synthetic.spectra import simulated_lines
    from nebulines.synthetic.truth_maps import MapScene, read_truth_maps

    tied = _tied(read_truth_maps(maps))
    folder = prepare_folder(plan.folder / f"{maps.name}_tied")
    _write_maps(folder, tied)
    scene = MapScene(tied, simulated_lines(get_instrument(_INSTRUMENT), _config()).names)
    path = plan.folder / f"mock_{maps.name}.hdf5"
    text = f"{maps.name}: the maps of a real galaxy as truth, {scene.shape[1]} x {scene.shape[0]}"
    return _field(plan, path, text, f"--truth-maps {folder.name}", scene.shape, scene)


def _tied(maps: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Maps whose lines of one upper level have the ratio of theory, which maps of noisy data do
    not keep: a weak line without its strong one would be taken for another line."""
    from nebulines.lines import tied_groups

    names = [name.removesuffix("_flux") for name in maps if name.endswith("_flux")]
    tied = dict(maps)
    for tie in tied_groups(names):
        tied[f"{tie.weak}_flux"] = maps[f"{tie.strong}_flux"] / tie.ratio
    return tied


def _write_maps(folder: Path, maps: Mapping[str, np.ndarray]) -> None:
    from astropy.io import fits

    for name, image in maps.items():
        with atomic_path(folder / f"{name}.fits") as partial:
            fits.writeto(partial, np.asarray(image, np.float32), overwrite=True)


def _config() -> Any:
    from nebulines.synthetic.config import SimulationConfig

    return SimulationConfig(snr=_SNR)


def _field(
    plan: Plan, path: Path, text: str, options: str, shape: tuple[int, int], scene: Any
) -> Field:
    from nebulines.fitting.result import Result
    from nebulines.io import read
    from nebulines.synthetic.cubes import write_cube

    command = (
        f"nebulines simulate {_INSTRUMENT} {options} --snr {_SNR[0]:g} {_SNR[1]:g} "
        f"--noise white --seed {plan.seed} -o {path.name}"
    )
    _, truth = write_cube(path, _INSTRUMENT, shape, plan.seed, config=_config(), scene=scene)
    cube, maps = read(path), Result.read(truth)
    assert isinstance(cube, Cube)
    found = {q: np.asarray(maps.image(q), float) for q in QUANTITIES}
    flux = np.nan_to_num(np.asarray(maps.image(f"{_LINE}_flux"), float))
    found["snr"] = _peak_snr(cube, found, flux)
    return Field(path.stem, text, command, cube, found)


def _peak_snr(cube: Cube, truth: Mapping[str, np.ndarray], flux: np.ndarray) -> np.ndarray:
    """Peak of H-alpha at the truth over the noise (scatter of the channels), (ny, nx)."""
    found = np.empty(cube.shape[:2])
    for block in cube.blocks(_BLOCK):
        where = (slice(block.y0, block.y1), slice(block.x0, block.x1))
        spectra = cube.read_block(block)
        noise = np.array([nmad(row) for row in np.asarray(spectra.flux)])
        velocity, broadening = (np.nan_to_num(truth[q][where].ravel()) for q in QUANTITIES)
        peak = _peaks(spectra, velocity, broadening, flux[where].ravel())
        found[where] = (peak / noise).reshape(block.shape)
    return np.where(np.isfinite(truth["velocity"]), found, np.nan)


def _peaks(
    spectra: Spectra, velocity: np.ndarray, broadening: np.ndarray, flux: np.ndarray
) -> np.ndarray:
    from nebulines.lines import load_catalogue
    from nebulines.models import line_peaks, line_positions, line_spread_width

    assert spectra.line_spread is not None
    kind, spread = spectra.axis.kind, spectra.line_spread
    wave = load_catalogue().select([_LINE]).wavelength(spectra.axis.medium)
    rest = line_positions(kind, wave, 0.0)
    width = np.broadcast_to(line_spread_width(kind, spread, rest), (len(flux), 1))
    scale = max(float(np.max(flux)), np.finfo(float).tiny)  # keeps single precision in range
    peaks = line_peaks(
        rest, velocity, broadening, flux[:, None] / scale, width,
        spread_shape=spread.shape, kind=kind,
    )  # fmt: skip
    return np.asarray(peaks, float)[:, 0] * scale


def measure_cube(method: Method, cube: Cube) -> Measured:
    """Measure every spaxel of a cube, row by row, some thousands at a time.

    Args:
        method: measures spectra.
        cube: any.
    """
    parts = [method(cube.read_block(block)) for block in _rows(cube)]
    columns = [np.concatenate([np.asarray(p[k]) for p in parts]) for k in range(5)]
    found = Measured._make([*columns, None, parts[0].stated])
    return found


def _rows(cube: Cube) -> Any:
    """Blocks of whole rows, so that they follow one another row by row."""
    return cube.blocks(max(_BLOCK, cube.shape[1]))


def _measured(plan: Plan, field: Field) -> Section:
    rows: list[list[Any]] = []
    numbers: dict[str, Any] = {}
    paths: list[Path] = []
    for name, method in plan.wide.items():
        if name in _NOT_FOR_CUBES:
            continue
        measured = measure_cube(method, field.cube)
        trusted = (np.asarray(measured.flags) & int(WARNED)) == 0
        shown = trusted.reshape(field.cube.shape[:2]) & (field.truth["snr"] >= _SNR_EDGES[0])
        apart = {q: _apart(measured, field, q) for q in QUANTITIES}
        counted = _table(name, apart, field.truth["snr"], shown)
        rows += counted
        numbers[name] = [dict(zip(_HEADER, row, strict=True)) for row in counted]
        masked = {q: np.where(shown, values, np.nan) for q, values in apart.items()}
        labels = {q: f"|{q}: {name} − truth| [km/s]" for q in QUANTITIES}
        figure = residual_maps_figure(masked, title=f"{field.text}: {name}", labels=labels)
        paths += save_figure(figure, plan.folder / f"{field.name}_{name}", formats=("png",))
    heading = f"### {field.text}"
    table = markdown(_HEADER, rows)
    parts = [heading, f"`{field.command}`", table, pictures(paths)]
    return Section(parts, {field.name: numbers}, paths)


_HEADER = ("method", "S/N of Hα", "spaxels", "flagged", "RMS of v", "median |Δv|", "RMS of s",
           "median |Δs|")  # fmt: skip


def _apart(measured: Measured, field: Field, quantity: str) -> np.ndarray:
    values = np.asarray(getattr(measured, quantity), float).reshape(field.cube.shape[:2])
    return np.abs(values - field.truth[quantity])


def _table(
    name: str, apart: Mapping[str, np.ndarray], snr: np.ndarray, shown: np.ndarray
) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for low, high in pairwise(_SNR_EDGES):
        here = (snr >= low) & (snr < high)
        good = here & shown & np.isfinite(apart["velocity"])
        label = f"{low:g}-{high:g}" if np.isfinite(high) else f"above {low:g}"
        row: list[Any] = [name, label, int(here.sum()), int((here & ~shown).sum())]
        for q in QUANTITIES:
            values = apart[q][good]
            row += (
                [float(np.sqrt(np.mean(values**2))), float(np.median(values))]
                if len(values)
                else [None, None]
            )
        rows.append(row)
    return rows

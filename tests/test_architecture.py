"""Imports point one way, heavy imports are lazy, and a constant is written once."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import nebulines

PACKAGE = Path(nebulines.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# a room may import itself, and rooms of the lines above its own
ROOM_ORDER = """
constants errors one_pass runtime small_tiles
kept_programs quantities
spectral_axis
lines instruments
lineshapes
spectra
io
models
synthetic
networks
training
fitting
cubes
nebular
galaxies
evaluation
plots
explorer
demo
reports
cli
"""
RANK = {room: i for i, line in enumerate(ROOM_ORDER.split("\n")) for room in line.split()}
DRAWING_ROOMS = {"plots", "explorer"}
# methods of the result that hand over to the room that writes or draws; imported in the method
DELEGATES = {
    "cubes/engine.py": {"galaxies"},
    "fitting/result.py": {"cubes", "plots"},
    "synthetic/spectra.py": {"galaxies"},
    "synthetic/spectra_files.py": {"cubes"},
    "synthetic/truth_files.py": {"cubes", "fitting"},
}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imported(tree: ast.AST, *, module_level: bool = False) -> Iterator[tuple[str, int]]:
    """(dotted name, line) of every import that runs: all of them, or those at module level."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide the room"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif is_type_checking(node):
            continue
        elif not (module_level and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from imported(node, module_level=module_level)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def test_every_room_has_its_place():
    rooms = {room_of(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms <= set(RANK), f"add to ROOM_ORDER: {sorted(rooms - set(RANK))}"


def violations(tree: ast.Module, room: str, delegates: frozenset[str] = frozenset()) -> list[str]:
    """Imports of a room that stands at or below ``room`` in the order; ``delegates`` are rooms
    that may be imported inside a function."""
    found = []
    at_module_level = set(imported(tree, module_level=True))
    for name, line in imported(tree):
        parts = name.split(".")
        if parts[0] != "nebulines" or len(parts) < 2 or parts[1] not in RANK:
            continue
        if parts[1] in delegates and (name, line) not in at_module_level:
            continue
        if parts[1] != room and RANK[parts[1]] >= RANK[room]:
            found.append(f"line {line}: {room} imports {name}")
    return found


@pytest.mark.parametrize(
    "path", [p for p in MODULES if room_of(p) in RANK], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_imports_point_one_way(path):
    delegates = frozenset(DELEGATES.get(path.relative_to(PACKAGE).as_posix(), ()))
    assert violations(parse(path), room_of(path), delegates) == []


def imports_of(path: Path, modules: dict[str, Path]) -> set[str]:
    """Modules that a file imports where it runs, hand-overs left out."""
    handed = DELEGATES.get(path.relative_to(PACKAGE).as_posix(), set())
    found = set()
    for name, _ in imported(parse(path)):
        parts = name.split(".")
        if parts[0] != "nebulines" or (len(parts) > 1 and parts[1] in handed):
            continue
        found.add(name if name in modules else name.rpartition(".")[0])
    return found & set(modules) - {"nebulines"}


def test_no_file_is_imported_by_what_it_imports():
    dotted = {p: ".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts) for p in MODULES}
    modules = {name.removesuffix(".__init__"): path for path, name in dotted.items()}
    graph = {name: imports_of(path, modules) - {name} for name, path in modules.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the circle


def test_the_rule_sees_a_violation():
    tree = ast.parse("def f():\n    from nebulines.cubes import run\n")
    assert violations(tree, "lineshapes") == ["line 2: lineshapes imports nebulines.cubes.run"]
    assert violations(tree, "cli") == []
    assert violations(tree, "lineshapes", frozenset({"cubes"})) == []
    eager = ast.parse("from nebulines.cubes import run\n")
    assert violations(eager, "lineshapes", frozenset({"cubes"}))
    assert violations(ast.parse("import nebulines.lines"), "instruments")


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if room_of(p) not in DRAWING_ROOMS],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_no_plotting_at_module_level_outside_the_drawing_rooms(path):
    names = {name.split(".")[0] for name, _ in imported(parse(path), module_level=True)}
    assert "matplotlib" not in names


def numbers(path: Path) -> Iterator[str]:
    with open(path, "rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type == tokenize.NUMBER:
                yield token.string.replace(".", "").replace("_", "")


def test_the_speed_of_light_is_written_once():
    places = [p.name for p in MODULES for number in numbers(p) if number.startswith("29979")]
    assert places == ["constants.py"]


def test_importing_the_package_is_light():
    code = (
        "import sys, nebulines\n"
        "heavy = ['jax', 'matplotlib', 'astropy.io.fits', 'scipy', 'h5py', 'pandas']\n"
        "print(*[name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_public_verb_has_a_home():
    assert set(nebulines.__all__) <= set(dir(nebulines))
    for name in nebulines.__all__:
        assert getattr(nebulines, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = nebulines.nonsense

"""The speed numbers as Markdown, each beside its target."""

from __future__ import annotations

from typing import Any

from benchmarks.reporting import judged, table

Numbers = dict[str, Any]
BANK = 100_000.0
DIRECT = 20_000.0
FILE = 20_000.0
FIRST_SECONDS = 4.0
DEMO_SECONDS = 120.0
ABOVE_CHUNK = 30_000
"""Fewer rows than this may fit in one chunk and say nothing about its bound, nor fill the filter
bank's groups: they are not judged."""
GROWTH = 0.1
"""Largest growth of memory with the file, MB a MB, that counts as bounded by the chunk."""

_LABELS = {
    "bank, R per row": ("filter bank, R of each row", BANK),
    "bank, common R": ("filter bank, one R", BANK),
    "direct": ("direct path", DIRECT),
    "direct, no search": ("direct path, start given", None),
    "direct, 842 channels": ("direct path", None),
}


def render(results: Numbers) -> str:
    """All tables that have numbers."""
    parts = []
    if "memory" in results:
        parts += ["## In memory", _memory_text(results), _memory(results)]
    if "start" in results:
        parts += ["## First spectrum", _start(results["start"])]
    if "rows" in results:
        parts += ["## Row-stacked files", _rows_text(), _rows(results["rows"])]
    if "cube" in results:
        parts += ["## SITELLE cube (HDF5)", _cube(results["cube"])]
    if "demo" in results:
        parts += ["## The demonstration (MUSE, Abell 478)", _demo(results["demo"])]
    return "\n\n".join(parts)


def _memory_text(results: Numbers) -> str:
    n = next(iter(results["memory"].values()))["n"]
    return (
        f"{n} SN3 spectra, five lines, velocity search over +-1000 km/s, fluxes, errors and flags; "
        "median of the repeats after one warm-up, with the slowest and the fastest. SciPy starts "
        "at the truth and searches nothing; LUCI runs as shipped, on one core."
    )


def _memory(results: Numbers) -> str:
    base = results["memory"]["bank, R per row"]["per_second"]
    rows = []
    for name, found in results["memory"].items():
        label, target = _LABELS[name]
        verdict = "-"
        if target is not None and found["n"] >= ABOVE_CHUNK:
            verdict = f"{target:,.0f}: {judged(found['per_second'], least=target)}"
        rows.append(
            [
                label,
                found["channels"],
                f"{found['per_second']:,.0f}",
                f"{found['slowest']:,.0f}-{found['fastest']:,.0f}",
                verdict,
                f"{base / found['per_second']:.2f}",
                f"{found['first_seconds']:.1f}",
                found["path"],
            ]
        )
    rows += [_peer(name, results[name], base) for name in ("scipy", "luci") if name in results]
    head = [
        "method", "channels", "spectra/s", "range", "target", "bank is faster by", "first run s",
        "path",
    ]  # fmt: skip
    return table(head, rows)


def _peer(name: str, found: Numbers, base: float) -> list[Any]:
    if "error" in found:
        return ["LUCI", "-", f"did not run: {found['error']}", "-", "-", "-", "-", "-"]
    label = "SciPy least_squares, analytic Jacobian"
    more = f"velocity RMS/CRLB {found['velocity_rms_over_bound']:.2f}"
    if name == "luci":
        label = f"LUCI {found['version']}"
        more += (
            f", broadening {found['broadening_rms_over_bound']:.2f}, coverage of its velocity "
            f"errors {found['velocity_coverage']:.2f} ({found['n']} spectra)"
        )
    rate = found["per_second"]
    return [
        label, found.get("channels", 842), f"{rate:,.1f}", "-", "-", f"{base / rate:,.0f}", "-",
        more,
    ]  # fmt: skip


def _start(start: Numbers) -> str:
    seconds = start["command"]["seconds"]
    rows = [
        [
            "`nebulines fit` on one row, warm compilation cache: start to exit",
            f"{seconds:.2f}",
            f"{FIRST_SECONDS:g} s: {judged(seconds, most=FIRST_SECONDS)}",
        ],
        ["`nl.fit(nl.read(file))` in a new Python, warm", f"{start['python']['seconds']:.2f}", "-"],
        ["the same command, empty compilation cache", f"{start['cold_seconds']:.2f}", "-"],
        ["`import nebulines` in a new Python", f"{start['import']['seconds']:.2f}", "-"],
        ["`nebulines --help`", f"{start['help']['seconds']:.2f}", "-"],
    ]
    return table(["what", "seconds", "target"], rows) + _errors([start["command"], start["python"]])


def _rows_text() -> str:
    return (
        "`nebulines fit ROWS.fits -o OUT.fits`, 842 channels with FLUX, ERR and an R for each row; "
        "wall time includes start-up, reading and writing (warm compilation cache). The start has "
        f"a limit of its own ({FIRST_SECONDS:g} s, above): the rate is judged without it."
    )


def _rows(files: list[Numbers]) -> str:
    rows = []
    for found in files:
        target = found["n"] == 40_000
        rate = found["per_second_after_start"]
        rows.append(
            [
                f"{found['n']:,}",
                f"{found['file_mb']:,.0f}",
                f"{found['seconds']:.2f}",
                f"{found['per_second']:,.0f}",
                f"{rate:,.0f}" + (f" ({FILE:,.0f}: {judged(rate, least=FILE)})" if target else ""),
                f"{found['memory_mb']:,.0f}",
            ]
        )
    head = ["spectra", "file MB", "wall s", "spectra/s", "without start-up", "peak memory MB"]
    return table(head, rows) + _growth(files) + _errors(files)


def _growth(files: list[Numbers]) -> str:
    if len(files) < 2 or files[-2]["n"] < ABOVE_CHUNK:
        return ""
    first, last = files[-2], files[-1]
    slope = (last["memory_mb"] - first["memory_mb"]) / (last["file_mb"] - first["file_mb"])
    verdict = judged(slope, most=GROWTH)
    return (
        f"\n\nFrom the second largest file to the largest the peak grows by {slope:.3f} MB a MB of "
        f"the file (bounded by the chunk if at most {GROWTH:g}: {verdict})."
    )


def _cube(cube: Numbers) -> str:
    rows = []
    for label, found in (("maps and model", cube), ("maps only", cube["maps_only"])):
        rows.append(
            [
                " x ".join(map(str, cube["shape"])),
                f"{cube['file_mb']:,.0f}",
                label,
                f"{found['seconds']:.1f}",
                f"{found['per_second']:,.0f}",
                f"{found['memory_mb']:,.0f}",
            ]
        )
    head = ["cube", "file MB", "output", "wall s", "spectra/s", "peak memory MB"]
    text = (
        "Every spaxel has its own axis and line width (calibration map); no variance in the file."
    )
    return f"{text}\n\n{table(head, rows)}" + _errors([cube, cube["maps_only"]])


def _demo(demo: Numbers) -> str:
    if "cold_seconds" not in demo:
        return demo["error"]
    cold = demo["cold_seconds"]
    rows = [
        ["empty compilation cache", f"{cold:.1f}", f"120 s: {judged(cold, most=DEMO_SECONDS)}"],
    ]
    if demo["seconds"] is not None:
        rows.append(["warm", f"{demo['seconds']:.1f}", "-"])
    return table(["`nebulines demo`", "seconds", "target"], rows) + _errors([demo])


def _errors(found: list[Numbers]) -> str:
    messages = sorted({part["error"] for part in found if part.get("error")})
    return "".join(f"\n\n**A command failed**: {message}" for message in messages)

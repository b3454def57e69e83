"""How fast the explorer's page is with 100 000 galaxies, in headless Chromium.

    python -m benchmarks.explorer [--galaxies N] [--data PAGE]

Ready: from the start of the navigation to the page with its first spectrum drawn. Hover: from a
mouse event over a galaxy to the end of the frame that shows its spectrum and widths. The same for
a frame of zooming, and for another colouring. Each number is the median and the 95th percentile
over repetitions, with the load of the machine beside it.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.browser import browser, wait_until_ready
from benchmarks.reporting import RESULTS, environment, judged, table

FOLDER = RESULTS / "explorer"
READY_MS, HOVER_MS, LEAST_R2, LEAST_PER_SECOND = 1500.0, 60.0, 0.99, 1e6
PROCESSOR = "ready, processor time of the page's main thread"
_FRAME = """
const done = arguments[arguments.length - 1], value = arguments[0], page = window.explorer;
const began = performance.now();
%s
requestAnimationFrame(() => setTimeout(() => done(performance.now() - began), 0));
"""
_HOVER = """
const panel = page.panels.find((p) => p.visible), box = panel.overlay.getBoundingClientRect();
const [x, y] = panel.pixel(value);
panel.overlay.dispatchEvent(new PointerEvent("pointermove",
  { clientX: box.left + x, clientY: box.top + y, bubbles: true }));
"""
_ZOOM = "page.view.zoomMiddle(value % 2 ? 0.8 : 1.25);"
_COLOUR = """
const select = document.getElementById("colour");
select.value = "line-" + (value % 10);
select.dispatchEvent(new Event("change"));
"""


def timings(driver: Any, action: str, values: Any) -> list[float]:
    """Milliseconds of an action, once a value."""
    return [float(driver.execute_async_script(_FRAME % action, int(v))) for v in values]


def thread_seconds(driver: Any) -> float:
    """Processor time of the page's main thread so far, whatever else the machine does."""
    metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return next(float(m["value"]) for m in metrics if m["name"] == "TaskDuration")


def measure(page: Path, galaxies: int, repeats: int) -> dict[str, list[float]]:
    """All timings [ms] of a page of a population."""
    found: dict[str, list[float]] = {"ready": [], PROCESSOR: []}
    for _ in range(repeats):
        with browser() as driver:
            driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
            driver.get(page.as_uri())
            found["ready"].append(wait_until_ready(driver))
            found[PROCESSOR].append(1000.0 * thread_seconds(driver))
    chosen = np.random.default_rng(0).integers(0, galaxies, 100)
    with browser() as driver:
        driver.get(page.as_uri())
        wait_until_ready(driver)
        found["hover"] = timings(driver, _HOVER, chosen)
        found["zoom, three panels"] = timings(driver, _ZOOM, range(30))
        found["another line, three panels"] = timings(driver, _COLOUR, range(20))
        driver.execute_script(
            "const s = document.getElementById('variant'); s.value = 'observed';"
            "s.dispatchEvent(new Event('change'));"
        )
        found["zoom, one panel"] = timings(driver, _ZOOM, range(30))
    return found


def screenshots(page: Path, folder: Path) -> None:
    """The page as it opens, light, and one panel of classes, dark."""
    for dark in (False, True):
        with browser(1280, 900, dark=dark) as driver:
            driver.get(page.as_uri())
            wait_until_ready(driver)
            if dark:
                driver.execute_script(
                    "for (const [id, value] of [['variant', 'observed'], ['colour', 'column-1']]) {"
                    "const s = document.getElementById(id); s.value = value;"
                    "s.dispatchEvent(new Event('change')); } window.explorer.plot.showWindow(3);"
                )
            time.sleep(1.0)
            save_small(
                driver.get_screenshot_as_png(), folder / f"page_{'dark' if dark else 'light'}.png"
            )


def panels(path: Path, galaxies: int = 10_000) -> None:
    """The figure of a population, four lines."""
    from nebulines.explorer.demo_population import demo_population
    from nebulines.explorer.panels import draw_panels

    lines = ("OII3727", "OIII5007", "HALPHA6563", "NII6583")
    picture = io.BytesIO()
    draw_panels(demo_population(galaxies, seed=2), lines).savefig(picture, dpi=110)
    save_small(picture.getvalue(), path)


def save_small(picture: bytes, path: Path) -> None:
    """A screenshot in 128 colours, so that it stays small."""
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(128).save(path, optimize=True)


def built(galaxies: int, folder: Path) -> tuple[Path, float]:
    """A page of the package's population, and the seconds that it took."""
    from nebulines.explorer import explore

    began = time.perf_counter()
    page = explore("galaxies", folder / "galaxies.html", n=galaxies)
    return page, time.perf_counter() - began


def placed_per_second(n: int = 100_000, repeats: int = 20) -> float:
    """Galaxies that the map places in a second of processor time, all threads together."""
    from nebulines.galaxies.embedding.continuum_map import continuum_map, place

    network = continuum_map()
    colours = np.random.default_rng(0).normal(0.0, 0.1, (n, 11)).astype(np.float32)
    place(network, colours)
    began = time.process_time()
    for _ in range(repeats):
        place(network, colours)
    return n * repeats / (time.process_time() - began)


def report(found: dict[str, list[float]], facts: dict[str, Any]) -> str:
    """The table of the results."""
    limits = {"ready": READY_MS, "hover": HOVER_MS}
    rows = []
    for name, values in found.items():
        middle, high = np.median(values), np.quantile(values, 0.95)
        limit = limits.get(name)
        verdict = judged(middle, most=limit) if limit else ""
        rows.append(
            [name, f"{min(values):.0f}", f"{middle:.0f}", f"{high:.0f}", limit or "", verdict]
        )
    scores = facts["map"]
    rows_map = [
        ["R², galaxies held out of the training", scores["r2_held_out"], LEAST_R2,
         judged(scores["r2_held_out"], least=LEAST_R2)],
        ["R², another seed, against UMAP.transform", scores["r2_transform"], LEAST_R2,
         judged(scores["r2_transform"], least=LEAST_R2)],
        ["galaxies placed in a second of one processor, this run",
         f"{facts['placed_per_second']:.2g}", "1e+06",
         judged(facts["placed_per_second"], least=LEAST_PER_SECOND)],
    ]  # fmt: skip
    return "\n\n".join(
        [
            "# The explorer",
            f"{facts['galaxies']} galaxies, page of {facts['megabytes']:.1f} MB, load of the "
            f"machine {facts['load']:.1f} on {os.cpu_count()} cores. Milliseconds:",
            table(["action", "least", "median", "95 %", "limit", ""], rows),
            "The map of continua; R² as its card says:",
            table(["", "measured", "limit", ""], rows_map),
            f"`{facts['environment']['command']}`, {facts['environment']['date']}, "
            f"{facts['environment']['processor']}",
            "",
        ]
    )


@click.command()
@click.option("--galaxies", default=100_000, show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option(
    "--data", "page", type=click.Path(path_type=Path), help="A page made before, to save time."
)
def main(galaxies: int, repeats: int, page: Path | None) -> None:
    """Measure, write the table, take pictures."""
    from nebulines.networks.weights import load

    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        seconds = None
        if page is None:
            page, seconds = built(galaxies, Path(scratch))
        load_before = os.getloadavg()[0]
        found = measure(page.resolve(), galaxies, repeats)
        screenshots(page.resolve(), FOLDER)
        panels(FOLDER / "panels.png")
        megabytes = page.stat().st_size / 1e6
    facts = {
        "galaxies": galaxies,
        "megabytes": megabytes,
        "seconds_to_build": seconds,
        "load": load_before,
        "map": load("continuum_map").card["scores"],
        "placed_per_second": placed_per_second(),
        "environment": environment(),
    }
    text = report(found, facts)
    (FOLDER / "explorer.md").write_text(text, encoding="utf-8")
    content = {**facts, "milliseconds": {k: np.round(v, 1).tolist() for k, v in found.items()}}
    (FOLDER / "explorer.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    from nebulines.runtime import configure

    configure()
    main()

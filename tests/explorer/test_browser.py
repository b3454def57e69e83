"""Pages opened in Chromium: what it decodes, draws and answers; skipped where it is absent."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from benchmarks.browser import wait_until_ready

from nebulines.explorer import explore
from nebulines.explorer.explore import ExploreConfig, cube_view
from nebulines.explorer.server import address, make_server
from nebulines.galaxies.widths.equivalent_widths import LINES

from .conftest import NX, WAVELENGTH

HALPHA = LINES.index("HALPHA6563")


def opened(driver, url):
    driver.get_log("performance")  # forget earlier pages
    driver.get_log("browser")
    driver.get(url)
    wait_until_ready(driver)
    return driver.execute_script


def requests_of(driver):
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]


def complaints(driver):
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def move_over(run, index):
    """A mouse over a galaxy, as the page's own elements see it."""
    return run(
        """
        const panel = window.explorer.panels[0];
        const [x, y] = panel.pixel(arguments[0]);
        const box = panel.overlay.getBoundingClientRect();
        panel.overlay.dispatchEvent(new PointerEvent("pointermove",
          { clientX: box.left + x, clientY: box.top + y, bubbles: true }));
        return Number(document.body.dataset.shown);
        """,
        index,
    )


@pytest.fixture(scope="module")
def page(driver, population_html):
    return opened(driver, population_html.as_uri())


def test_the_browser_decodes_what_python_packed(page, population):
    found = page("return [...window.explorer.spectra.widths('predicted', 42)]")
    assert found == pytest.approx(population.widths["predicted"][42].tolist(), rel=2e-3)
    axis, flux = page(
        "const s = window.explorer.spectra; return [[...s.coarse], [...s.continuum(42)]]"
    )
    fine = page("return [...window.explorer.spectra.axis]")
    expected = np.interp(fine, axis, population.spectra.flux(42))
    assert np.array(flux) == pytest.approx(expected, rel=2e-3)


def test_painted_lines_have_their_widths(page, population):
    """EW from the painted spectrum: the integral of flux / continuum - 1 over H-alpha."""
    fine, stars, both = page(
        """
        const s = window.explorer.spectra, none = new Array(10).fill(0);
        const stars = s.continuum(42);
        none[arguments[0]] = 12.5;
        return [[...s.axis], [...stars], [...s.withLines(stars, none, 150)]];
        """,
        HALPHA,
    )
    fine, excess = np.array(fine), np.array(both) / np.array(stars) - 1.0
    near = np.abs(fine - 6564.6) < 25.0
    assert np.trapezoid(excess[near], fine[near]) == pytest.approx(12.5, rel=0.01)
    assert excess[~near] == pytest.approx(0.0, abs=1e-9)
    top = fine[near][np.argmax(excess[near])]
    assert top == pytest.approx(6564.6, abs=0.7)


def test_the_mouse_finds_the_galaxy_and_shows_it(page):
    assert move_over(page, 123) == 123
    assert page("return document.getElementById('name').textContent") == "galaxy 123"
    cells = page("return [...document.querySelectorAll('#widths tr')].map((r) => r.cells.length)")
    assert cells == [4] * 10
    assert page("return document.querySelector('#spectrum canvas').width > 100")
    shown = page("return window.explorer.plot.data.map((v) => v.length)")
    assert len(set(shown)) == 1
    assert len(shown) == 5


def test_colours_follow_the_line_and_the_kind(page):
    def indices():
        return page("return window.explorer.panels.map((p) => [...p.indices].slice(0, 20))")

    before = indices()
    page(
        "const s = document.getElementById('colour'); s.value = 'line-0';"
        "s.dispatchEvent(new Event('change'))"
    )
    after = indices()
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert after[0] != after[1]
    assert after[0][7] == 0  # galaxy 7 was not observed: no colour
    page(
        "const s = document.getElementById('variant'); s.value = 'predicted';"
        "s.dispatchEvent(new Event('change'))"
    )
    hidden = page("return window.explorer.panels.map((p) => p.figure.hidden)")
    assert hidden == [True, False, True]
    page(
        "const s = document.getElementById('variant'); s.value = 'all';"
        "s.dispatchEvent(new Event('change'))"
    )


def test_search_box_keyboard_and_selection(page):
    page("document.getElementById('wanted').value = '17'; window.explorer.find()")
    assert page("return document.body.dataset.shown") == "17"
    page("document.getElementById('wanted').value = '100000'; window.explorer.find()")
    assert "from 0 to 299" in page("return document.getElementById('found').textContent")
    press = (
        "window.explorer.panels[0].overlay.dispatchEvent("
        "new KeyboardEvent('keydown', {key: arguments[0]}))"
    )
    was = page("return window.explorer.panels[0].x[window.explorer.here]")
    page(press, "ArrowRight")
    assert page("return window.explorer.panels[0].x[window.explorer.here]") > was
    span = "const r = window.explorer.view.range; return r[1] - r[0]"
    wide = page(span)
    page(press, "+")
    assert page(span) < wide
    page(press, "0")
    page("window.explorer.select([3, 4])")
    text = page(
        """
        let kept = null;
        const create = URL.createObjectURL;
        URL.createObjectURL = (blob) => { kept = blob; return create(blob); };
        window.explorer.save();
        URL.createObjectURL = create;
        return kept.text();
        """
    )
    rows = text.strip().split("\n")
    assert rows[0].startswith("id,colour,kind,EW_OII3727_observed")
    assert [row.split(",")[0] for row in rows[1:]] == ["galaxy 3", "galaxy 4"]


def test_the_population_asked_for_nothing_and_had_no_error(page, driver, population_html):
    asked = [u for u in requests_of(driver) if not u.startswith(("data:", "blob:", "chrome:"))]
    assert set(asked) == {population_html.as_uri()}
    assert complaints(driver) == []


def test_the_address_opens_a_galaxy(driver, population_html):
    run = opened(driver, f"{population_html.as_uri()}#55")
    assert run("return document.body.dataset.shown") == "55"
    assert run("return document.getElementById('name-state').textContent") == "pinned"


def test_maps_show_the_spaxel_that_is_clicked(driver, maps_file, tmp_path):
    run = opened(driver, explore(maps_file, tmp_path / "maps.html").as_uri())
    run(
        """
        const image = window.explorer.image, [x, y] = image.pixel(3.5, 2.5);
        const box = image.overlay.getBoundingClientRect();
        for (const kind of ["pointerdown", "pointerup"]) {
          image.overlay.dispatchEvent(new PointerEvent(kind,
            { clientX: box.left + x, clientY: box.top + y, pointerId: 1 }));
        }
        """
    )
    assert run("return document.body.dataset.shown") == str(2 * NX + 3)
    wavelength, data, model, rest = run("return window.explorer.plot.data.map((v) => [...v])")
    assert wavelength == pytest.approx(WAVELENGTH.tolist(), rel=1e-7)
    assert np.subtract(data, model) == pytest.approx(rest)
    peak = wavelength[int(np.argmax(model))]
    mark = run("return window.explorer.lineMarks()[0].at")
    assert peak == pytest.approx(mark, abs=0.6)
    assert complaints(driver) == []


def test_a_served_cube_is_read_as_one_looks(driver, maps_file):
    server = make_server(cube_view(maps_file, ExploreConfig()))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        run = opened(driver, address(server))
        run("window.explorer.show(8)")
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(driver, 10).until(
            lambda d: d.execute_script("return document.body.dataset.drawn") == "8"
        )
        assert len(run("return window.explorer.plot.data[1]")) == len(WAVELENGTH)
        assert all(
            url.startswith((address(server), "data:", "chrome:")) for url in requests_of(driver)
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)

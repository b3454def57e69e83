"""``nebulines explore`` from file to page."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from nebulines.cli.main import cli
from nebulines.explorer import opening
from nebulines.explorer.page import read_page
from nebulines.fitting.result import Result


def run(*arguments):
    return CliRunner().invoke(cli, ["explore", *map(str, arguments)])


@pytest.fixture
def maps(tmp_path):
    columns = {"velocity": np.linspace(-9.0, 9.0, 6), "flags": np.zeros(6, int)}
    result = Result(columns, "", {"LINES": '{"HALPHA6563": 6562.8}', "OBJECT": "M 1"}, (2, 3))
    return result.write_maps(tmp_path / "gas_MAPS.fits")


def test_maps_become_a_page_beside_them(maps):
    result = run(maps, "--no-open")
    assert result.exit_code == 0, result.output
    page = maps.with_name("gas_EXPLORER.html")
    assert f"wrote {page}" in result.output
    document, arrays = read_page(page)
    assert document["maps"][0]["name"] == "velocity"
    assert arrays["value-0"].tolist() == pytest.approx(np.linspace(-9.0, 9.0, 6).tolist())
    assert "<title>M 1</title>" in page.read_text(encoding="utf-8")


def test_the_page_opens_or_its_address_is_told(maps, monkeypatch):
    asked = []
    monkeypatch.setattr(opening, "has_screen", lambda: True)
    monkeypatch.setattr(opening.webbrowser, "open", lambda address: asked.append(address) or True)
    result = run(maps, "-o", maps.with_name("a.html"))
    assert asked == [maps.with_name("a.html").resolve().as_uri()]
    assert "open it" not in result.output
    monkeypatch.setattr(opening, "has_screen", lambda: False)
    assert "open it in a browser: file://" in run(maps, "-o", maps.with_name("b.html")).output
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.fits"], "does not exist"),
        (["."], "is a folder"),
        (["MAPS", "-o", "page.txt"], "must end in .html"),
        (["MAPS", "--port", "0"], "no cube to serve"),
        (["MAPS", "--cube", "nowhere.fits"], "does not exist"),
        (["galaxies", "--port", "0"], "leave it out"),
        (["galaxies", "--n", "3"], "100 galaxies or more"),
    ],
)
def test_wrong_use_has_status_2(maps, arguments, message, monkeypatch):
    monkeypatch.chdir(maps.parent)
    result = run(*[str(maps) if a == "MAPS" else a for a in arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert not list(maps.parent.glob("*.html"))

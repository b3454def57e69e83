"""The documentation says what the code does."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from nebulines.lines import load_catalogue
from nebulines.spectra import Flag

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


@pytest.mark.parametrize(
    "page", [p for p in PAGES if ">>> " in p.read_text(encoding="utf-8")], ids=lambda p: p.name
)
def test_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.attempted > 0
    assert result.failed == 0, "see the captured output for the example that differs"


def test_the_flags_table_is_the_enumeration():
    text = (DOCS / "conventions.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- flags:.*?-->\n(.*?)<!-- end of flags -->", text, re.DOTALL)
    assert block is not None
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (.*) \|$", block[1], re.MULTILINE)
    assert rows == [(str(int(flag)), flag.name, flag.meaning) for flag in Flag]


def test_the_wavelengths_are_the_catalogue():
    text = (DOCS / "conventions.md").read_text(encoding="utf-8")
    pairs = re.findall(r"`([A-Z]+\d{4})` \| (\d{4}\.\d\d)", text)
    assert len(pairs) == 14
    catalogue = load_catalogue()
    for name, wavelength in pairs:
        assert catalogue.wavelength_air[catalogue.index(name)] == float(wavelength)


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"

"""The page of a population holds what it shows, needs nothing else, and says it safely."""

from __future__ import annotations

import re

import numpy as np
import pytest

from nebulines.errors import InputError, UsageError
from nebulines.explorer.page import read_page
from nebulines.explorer.population_page import SCRIPTS, write_population
from nebulines.galaxies.widths.equivalent_widths import LINES


def test_the_page_decodes_to_the_population(population, population_html):
    document, arrays = read_page(population_html)
    assert document["n"] == len(population)
    for kind, widths in population.widths.items():
        found = arrays[f"ew-{kind}"].T
        assert np.array_equal(np.isnan(found), np.isnan(widths))
        assert np.nanmax(np.abs(found - widths) / (1.0 + np.abs(widths))) < 1.1e-3
    small = population.spectra
    rebuilt = arrays["level"][:, None] * (arrays["mean"] + arrays["coefficients"] @ arrays["basis"])
    expected = np.stack([small.flux(i) for i in range(len(population))])
    assert np.abs(rebuilt / expected - 1.0).max() < 1e-3
    assert np.abs(arrays["embedding-0"].T - population.planes[0].points).max() < 1e-4
    assert np.array_equal(arrays["column-1"], population.columns[1].values)
    assert np.allclose(arrays["broadening"], 150.0)


def test_every_line_is_painted_once_with_its_share(population_html):
    document, _ = read_page(population_html)
    assert [line["name"] for line in document["lines"]] == list(LINES)
    shares = np.bincount(
        [p["line"] for p in document["painted"]], [p["share"] for p in document["painted"]]
    )
    assert shares == pytest.approx(np.ones(10))
    oii = [p for p in document["painted"] if p["name"].startswith("OII37")]
    assert [p["wavelength"] for p in oii] == pytest.approx([3727.09, 3729.88], abs=0.01)


def test_the_page_asks_for_nothing_outside(population_html):
    text = population_html.read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)\s*=\s*["\']?(?!data:,)\w+:', text)
    assert not re.search(r"<link(?! rel=\"icon\" href=\"data:,\")|<img|@import|url\(", text)
    assert "default-src 'none'" in text


def test_text_of_the_user_stays_text(population_html):
    text = population_html.read_text(encoding="utf-8")
    assert "Galaxies &lt;/script&gt; &amp; more" in text
    assert "made &lt;here&gt;" in text
    assert text.count("</script>") == text.count("<script")


def test_scripts_lie_readable_in_the_package(population_html):
    text = population_html.read_text(encoding="utf-8")
    from nebulines.explorer import page

    for name in SCRIPTS:
        source = (page._HERE / "web" / name).read_text(encoding="utf-8")
        assert source in text
        assert max(map(len, source.splitlines())) < 130


def test_the_vendored_plot_has_its_licence():
    from nebulines.explorer import page

    licence = (page._HERE / "vendor" / "uPlot-LICENSE.txt").read_text(encoding="utf-8")
    assert "MIT License" in licence
    script = (page._HERE / "vendor" / "uPlot.iife.min.js").read_text(encoding="utf-8")
    assert re.search(r"uPlot.*\d+\.\d+\.\d+", script[:400])


def test_a_page_is_written_whole_or_not_at_all(population, tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        write_population(population, tmp_path / "missing" / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_no_pages(tmp_path):
    (tmp_path / "page.html").write_text("<p>hello</p>")
    with pytest.raises(InputError, match="is not a page of the explorer"):
        read_page(tmp_path / "page.html")

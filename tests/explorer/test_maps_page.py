"""The page of a cube's maps, and the server of large ones."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from astropy.io import fits

from nebulines.errors import UsageError
from nebulines.explorer import explore
from nebulines.explorer import maps_page as module
from nebulines.explorer.explore import ExploreConfig, cube_view
from nebulines.explorer.fit_facts import line_windows
from nebulines.explorer.pack import Packed, unpack_rows
from nebulines.explorer.page import read_page
from nebulines.explorer.server import address, make_server
from nebulines.fitting.result import Result

from .conftest import CHANNELS, NX, NY, WAVELENGTH, write_cube


@pytest.fixture(scope="module")
def page(maps_file):
    return explore(maps_file, maps_file.with_name("maps.html"))


def rows_of(page, kind):
    """Spectra as the page stores them."""
    document, arrays = read_page(page)
    text = page.read_text(encoding="utf-8").split(f'id="array-{kind}">')[1].split("<")[0]
    packed = Packed(document["arrays"][kind], text)
    return unpack_rows(packed, arrays[f"{kind}-offset"], arrays[f"{kind}-scale"])


def test_maps_decode_to_the_result(page, maps_file):
    document, arrays = read_page(page)
    result = Result.read(maps_file)
    assert document["shape"] == [NY, NX]
    for k, facts in enumerate(document["maps"]):
        assert np.array_equal(
            arrays[f"value-{k}"], np.float32(result[facts["name"]]), equal_nan=True
        )
        assert facts["error"] == (f"{facts['name']}_err" in result)
    assert np.array_equal(arrays["flags"], result["flags"])
    assert [(f["name"], f["count"]) for f in document["flags"]] == [("NO_DATA", 1)]
    by_name = {facts["name"]: facts for facts in document["maps"]}
    assert by_name["velocity"]["unit"] == "km s⁻¹"
    assert by_name["HALPHA6563_flux"]["unit"] == "10⁻²⁰ erg s⁻¹ cm⁻²"
    assert by_name["velocity"]["measured"] == NX * NY - 1


@pytest.mark.parametrize(
    ("kind", "name", "step"), [("data", "cube", 0.1), ("model", "gas_MODEL", 0.02)]
)
def test_spectra_keep_a_fraction_of_the_noise(page, maps_file, kind, name, step):
    cube = fits.getdata(maps_file.with_name(f"{name}.fits"), "FLUX").reshape(CHANNELS, -1).T
    found = rows_of(page, kind)
    assert np.array_equal(np.isnan(found), np.isnan(cube))
    assert np.nanmax(np.abs(found - cube)) <= 0.51 * step  # the noise is 1


def test_the_axis_is_that_of_the_cube(page):
    document, arrays = read_page(page)
    assert arrays["wavelength"] == pytest.approx(WAVELENGTH, rel=1e-7)
    assert np.abs(arrays["stretch"]).max() < 1e-9
    assert document["spectra"] == "embedded"
    window = next(w for w in document["windows"] if w["name"] == "Hα")
    assert window["low"] < 6562.8 < window["high"]


def test_lines_that_are_close_share_a_window():
    lines = [{"label": "[N II] 6548", "rest": 6548.0}, {"label": "Hα", "rest": 6562.8},
             {"label": "[N II] 6583", "rest": 6583.4}, {"label": "Hβ", "rest": 4861.3}]  # fmt: skip
    windows = line_windows(lines, 0.1)
    assert [w["name"] for w in windows] == ["Hβ", "[N II], Hα"]
    assert windows[1]["low"] == pytest.approx((6548.0 - 35.0) * 1.1)


def test_maps_alone_make_a_page(maps_file, tmp_path):
    alone = tmp_path / "alone_MAPS.fits"
    alone.write_bytes(maps_file.read_bytes())
    document, _ = read_page(explore(alone))
    assert document["spectra"] == "none"


def test_many_spaxels_keep_the_main_maps(maps_file, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MANY", 10)
    document, arrays = read_page(explore(maps_file, tmp_path / "many.html"))
    result = Result.read(maps_file)
    names = [facts["name"] for facts in document["maps"]]
    assert names == ["velocity", "broadening", "HALPHA6563_flux", "snr"]
    assert not any(facts["error"] for facts in document["maps"])
    for k, name in enumerate(names):
        assert arrays[f"value-{k}"] == pytest.approx(result[name], rel=1e-3, abs=0.01, nan_ok=True)


def test_a_cube_of_another_shape_is_refused(maps_file, tmp_path):
    write_cube(tmp_path / "ok.fits", np.ones((NX * NY, 50)), "")
    content = fits.getdata(tmp_path / "ok.fits", "FLUX")
    header = fits.getheader(tmp_path / "ok.fits", "FLUX")
    other = fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(content[:, :, :-1], header, name="FLUX")]
    )
    other.writeto(tmp_path / "other.fits")
    with pytest.raises(UsageError, match=r"6 x 5 spaxels, but .* has 6 x 4"):
        explore(maps_file, tmp_path / "a.html", cube=tmp_path / "other.fits")


def test_a_cube_without_a_result_is_refused(maps_file, tmp_path):
    with pytest.raises(UsageError, match="nebulines fit"):
        explore(maps_file.with_name("cube.fits"), tmp_path / "a.html")


def test_a_table_of_spectra_is_refused(tmp_path):
    columns = {"velocity": np.zeros(3), "flags": np.zeros(3, int)}
    Result(columns, "", {"LINES": "{}"}).write(tmp_path / "table.fits")
    with pytest.raises(UsageError, match="table of single spectra"):
        explore(tmp_path / "table.fits", tmp_path / "a.html")


def test_a_large_cube_is_no_page(maps_file, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 100)
    with pytest.raises(UsageError, match="--port"):
        explore(maps_file, tmp_path / "a.html")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def served(maps_file):
    server = make_server(cube_view(maps_file, ExploreConfig()))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield address(server)
    server.shutdown()
    server.server_close()
    thread.join(5)


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def test_the_server_sends_one_spectrum(served, maps_file):
    cube = fits.getdata(maps_file.with_name("cube.fits"), "FLUX")
    answer = json.loads(get(f"{served}spectrum?y=2&x=3"))
    assert answer["data"] == pytest.approx(cube[:, 2, 3].tolist(), rel=1e-6)
    assert len(answer["model"]) == len(answer["wavelength"]) == CHANNELS
    assert json.loads(get(f"{served}spectrum?y=0&x=0"))["data"] == [None] * CHANNELS
    text = get(served).decode()
    assert '"spectra": "served"' in text
    assert 'id="array-data"' not in text


@pytest.mark.parametrize(
    ("query", "status"),
    [("spectrum?y=99&x=0", 404), ("spectrum?y=a&x=0", 400), ("spectrum", 400), ("../etc", 404)],
)
def test_the_server_refuses_what_is_not_there(served, query, status):
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(served + query)
    assert refused.value.code == status
    refused.value.close()


def test_a_taken_port_is_refused(served, maps_file):
    with pytest.raises(UsageError, match="choose another one"):
        make_server(cube_view(maps_file, ExploreConfig()), int(served.rstrip("/").split(":")[-1]))

"""The machinery that measures speed: files of any size, rates, costs of commands, the page."""

from __future__ import annotations

import numpy as np
from benchmarks.files import run_command, run_script, write_cube, write_rows
from benchmarks.in_memory import narrow, rates, sn3
from benchmarks.speed_tables import render

from benchmarks import page
from nebulines.io import read


def test_rows_repeat_in_a_file_that_reads_back(tmp_path):
    spectra = sn3(6, 1)
    size = write_rows(tmp_path / "rows.fits", spectra, 64)
    back = read(tmp_path / "rows.fits")
    assert len(back) == 64
    assert size * 1e6 == (tmp_path / "rows.fits").stat().st_size
    np.testing.assert_array_equal(back[6:12].flux, spectra.flux)
    np.testing.assert_allclose(back[60:64].variance, spectra.variance[:4], rtol=1e-5)
    np.testing.assert_allclose(
        back.line_spread.sinc_fwhm_cm1()[6:12], spectra.line_spread.sinc_fwhm_cm1()
    )


def test_the_cube_has_its_velocities(tmp_path):
    write_cube(tmp_path / "cube.hdf5", 8)
    cube = read(tmp_path / "cube.hdf5")
    assert cube.shape == (8, 8, 842)
    spectra = cube[4, :]
    truth = 150.0 * np.tanh(6.0 * (np.arange(8) / 8 - 0.5))
    observed = 6562.80 * (1.0 + truth / 299792.458)
    wavelength = spectra.axis.wavelength()
    brightest = np.argmax(spectra.flux, axis=1)
    found = wavelength[np.arange(8), brightest]
    np.testing.assert_allclose(found, observed, atol=0.95)  # a channel, on each spaxel's own axis
    assert np.ptp(wavelength[:, 0]) > 1.0


def test_the_narrow_band_keeps_the_lines():
    spectra = narrow(sn3(4, 2), 372)
    low, high = spectra.axis.wavelength_range()
    assert spectra.flux.shape == (4, 372)
    assert low < 6500
    assert high > 6780


def test_rates_count_runs():
    calls = []
    found = rates(lambda: calls.append(1), 100, repeats=3)
    assert len(calls) == 4
    assert found["slowest"] <= found["per_second"] <= found["fastest"]


def test_costs_of_commands(tmp_path):
    help_page = run_command(["--help"], tmp_path)
    assert help_page.error == ""
    assert 5.0 < help_page.memory_mb < 200.0
    wasteful = run_script("x = bytearray(200_000_000)", [], tmp_path)
    assert wasteful.memory_mb > 190.0
    assert "nonsense" in run_command(["nonsense"], tmp_path).error


def test_tables_judge_and_report_failures():
    rows = [
        {"n": n, "file_mb": n / 100, "seconds": 2.0, "per_second": n / 2.0,
         "per_second_after_start": float(n), "memory_mb": 500.0, "error": error}
        for n, error in ((40_000, ""), (160_000, "disk full"))
    ]  # fmt: skip
    text = render({"rows": rows})
    assert "(20,000: PASS)" in text
    assert "bounded by the chunk if at most 0.1: PASS" in text
    assert "disk full" in text


def test_the_page_joins_the_results(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    (tmp_path / "speed.md").write_text("# Speed\n\n## In memory\n", encoding="utf-8")
    text = page.write_page(tmp_path / "measured.md").read_text(encoding="utf-8")
    assert "\n## Speed\n" in text
    assert "\n### In memory\n" in text

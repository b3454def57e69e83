"""Key numbers and report of a result whose truth is known."""

import base64
import re

import numpy as np
import pytest

from nebulines.demo.report import write_report
from nebulines.demo.summary import sentences, summarise
from nebulines.fitting.result import Result
from nebulines.spectra import Flag


@pytest.fixture
def result():
    n = 100
    snr = np.r_[np.full(60, 20.0), np.full(20, 5.0), np.full(15, 1.0), np.full(5, np.nan)]
    columns = {
        "velocity": np.r_[np.linspace(-700, -500, 60), np.full(40, 900.0)],
        "broadening": np.full(n, 100.0),
        "HALPHA6563_flux": snr * 4.0,
        "HALPHA6563_flux_err": np.full(n, 4.0),
        "NII6583_flux": snr * 4.4,
        "NII6583_flux_err": np.full(n, 4.0),
        "ratio_NII6583_HALPHA6563": np.full(n, 1.1),
        "chi2": np.ones(n),
        "flags": np.r_[np.zeros(80, int), np.full(15, Flag.LOW_SNR), np.full(5, Flag.NO_DATA)],
    }
    return Result(columns, shape=(10, 10))


def test_summary_counts_and_averages_the_right_spaxels(result):
    summary = summarise(result, redshift=0.0881)
    assert (summary.spaxels, summary.fitted, summary.detected, summary.clear) == (100, 95, 80, 60)
    assert summary.velocity.median == pytest.approx(-600.0)
    assert summary.velocity.p5 == pytest.approx(-690.0)
    assert summary.gas_redshift == pytest.approx(1.0881 * (1 - 600 / 299792.458) - 1)
    assert summary.flags == {"NO_DATA": 5, "LOW_SNR": 15}
    assert summary.good == 80
    assert summary.lines == ("HALPHA6563", "NII6583")


def test_sentences_carry_the_numbers(result):
    text = sentences(summarise(result, redshift=0.0881), seconds=3.2)
    assert len(text) == 4
    for line, wanted in zip(
        text, ["95 of 100", "-600 km/s", "1.10", "NO_DATA 5, LOW_SNR 15"], strict=True
    ):
        assert wanted in line


def test_nothing_detected_is_no_error(result):
    columns = {**result.columns, "HALPHA6563_flux": np.zeros(100)}
    summary = summarise(Result(columns, shape=(10, 10)), redshift=0.0)
    assert (summary.detected, summary.clear) == (0, 0)
    assert np.isnan(summary.velocity.median)
    assert "nan" in sentences(summary, seconds=1.0)[1]


def test_report_stands_alone_and_holds_figure_and_numbers(result, tmp_path):
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"\x89PNG not really")
    summary = summarise(result, redshift=0.0881)
    path = write_report(
        tmp_path / "report.html",
        summary,
        figure=figure,
        files={"x_MAPS.fits": "maps"},
        seconds=3.0,
    )
    page = path.read_text(encoding="utf-8")
    embedded = re.search(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(embedded[1]) == figure.read_bytes()
    assert not re.search(r'(src|href)="(?!data:)', page)
    for wanted in ("−600 km/s", "60 spaxels", "NO_DATA (1)", "x_MAPS.fits", Flag.LOW_SNR.meaning):
        assert wanted in page
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figure.png", "report.html"]

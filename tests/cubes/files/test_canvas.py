"""FITS files laid out first and filled later: what astropy finds in them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from nebulines.cubes.files.canvas import Canvas, Extension, encode_checksum


def image(name, shape, fill=None) -> Extension:
    header = fits.ImageHDU(np.zeros(shape, ">f4"), name=name).header
    return Extension(header, np.dtype(">f4"), shape, fill)


def test_a_canvas_is_a_valid_file_at_every_moment(tmp_path):
    path = tmp_path / "a.fits"
    layout = [Extension(fits.PrimaryHDU().header), image("A", (3, 7), np.nan), image("B", (800,))]
    canvas = Canvas.create(path, layout)
    assert path.stat().st_size == canvas.size
    with fits.open(path) as hdus:
        assert np.isnan(hdus["A"].data).all()
        assert not hdus["B"].data.any()
    with canvas.arrays() as arrays:
        arrays["A"][1:, 2] = 5.0
    reopened = Canvas(path, canvas.places)
    with reopened.arrays() as arrays:
        arrays["B"][:] = np.arange(800)
    reopened.finish({"NOISE": "file", "LONGNOTE1": "x" * 150})
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        assert np.nansum(hdus["A"].data) == 10.0
        assert np.array_equal(hdus["B"].data, np.arange(800))
        assert hdus[0].header["NOISE"] == "file"
        assert hdus[0].header["LONGNOTE1"] == "x" * 150


def test_a_damaged_file_is_noticed(tmp_path):
    path = tmp_path / "a.fits"
    canvas = Canvas.create(path, [Extension(fits.PrimaryHDU().header), image("A", (50, 50), 1.0)])
    canvas.finish()
    data = bytearray(path.read_bytes())
    data[canvas.places[1]["data"] + 17] ^= 4
    path.write_bytes(data)
    with (
        pytest.warns(Warning, match="verification failed"),
        fits.open(path, checksum=True) as hdus,
    ):
        _ = hdus["A"].data


def test_a_fact_that_the_header_has_is_not_written_twice(tmp_path):
    header = fits.PrimaryHDU().header
    header["VELCONV"] = "optical"
    canvas = Canvas.create(tmp_path / "a.fits", [Extension(header)])
    canvas.finish({"VELCONV": "relativistic"})
    assert fits.getheader(tmp_path / "a.fits").count("VELCONV") == 1


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_checksums_use_letters_and_digits_and_decode_to_the_complement(total):
    text = encode_checksum(total)
    assert text.isalnum()
    assert len(text) == 16
    turned = np.frombuffer((text[1:] + text[0]).encode(), "u1").astype(np.int64) - 48
    value = sum(int(c) << (24 - 8 * (i % 4)) for i, c in enumerate(turned))
    assert value % 0xFFFFFFFF == (~total & 0xFFFFFFFF) % 0xFFFFFFFF

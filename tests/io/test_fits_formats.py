"""FITS formats made here: noise, masks, units, shapes, lazy blocks, damaged files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from nebulines.errors import InputError, UsageError
from nebulines.instruments.line_spread import LineSpread
from nebulines.io import describe, read, write_muse, write_row_stacked
from nebulines.io.fits_file import FitsHdu
from nebulines.io.units import normalise_unit
from nebulines.spectra import Cube, Spectra
from nebulines.spectra.cube import Block
from nebulines.spectra.lazy import LazyArray
from nebulines.spectral_axis import SpectralAxis

NZ, NY, NX = 11, 4, 5
AXIS = SpectralAxis(6500.0 + 1.25 * np.arange(NZ), "wavelength", "air")
CARDS = {"CTYPE3": "AWAV", "CUNIT3": "Angstrom", "CRVAL3": 6500.0, "CDELT3": 1.25, "CRPIX3": 1.0}


def cube_values() -> np.ndarray:
    z, y, x = np.meshgrid(np.arange(NZ), np.arange(NY), np.arange(NX), indexing="ij")
    return (100.0 * z + 10.0 * y + x).astype(np.float32)


def save(path, *images, primary=None):
    hdus = [fits.PrimaryHDU(header=fits.Header(primary or {}))]
    for name, data, cards in images:
        hdus.append(fits.ImageHDU(data, fits.Header(cards), name=name))
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def test_muse_cube(tmp_path):
    data, quality = cube_values(), np.zeros((NZ, NY, NX), np.uint8)
    quality[3, 1, 2] = 4
    data[5, 2, 2] = np.nan
    path = save(
        tmp_path / "cube.fits",
        ("DATA", data, CARDS | {"BUNIT": "10**(-20)*erg/s/cm**2/Angstrom"}),
        ("STAT", np.full((NZ, NY, NX), 4.0, np.float32), CARDS),
        ("DQ", quality, {}),
        primary={"INSTRUME": "MUSE", "OBJECT": "test"},
    )
    cube = read(path)
    assert isinstance(cube, Cube)
    assert (cube.shape, cube.instrument) == ((NY, NX, NZ), "muse")
    assert cube.unit == "10**-20 erg Angstrom-1 s-1 cm-2"
    part = cube[1:3, 2:5]
    np.testing.assert_array_equal(part.flux, data[:, 1:3, 2:5].reshape(NZ, -1).T)
    assert part.flux.dtype == np.dtype("float32")
    assert part.flux.dtype.isnative
    assert part.flux.flags.c_contiguous
    np.testing.assert_array_equal(np.argwhere(part.mask), [[0, 3]])
    np.testing.assert_array_equal(part.variance, 4.0)
    np.testing.assert_allclose(part.axis.values, AXIS.values)
    assert part.line_spread is not None
    assert cube.meta["OBJECT"] == "test"


def test_muse_without_quality_keeps_nan(tmp_path):
    data = cube_values()
    data[:, 0, 0] = np.nan
    path = save(tmp_path / "cube.fits", ("DATA", data, CARDS), ("STAT", data * 0 + 1, CARDS))
    spectra = read(path)[0, 0]
    assert spectra.mask is None
    assert np.isnan(spectra.flux).all()


@pytest.mark.parametrize("name", ["ERR", "VAR"])
@pytest.mark.parametrize("flat", [True, False])
def test_sci_cube_with_either_mask(tmp_path, name, flat):
    data = cube_values()
    mask = np.zeros((NY, NX) if flat else (NZ, NY, NX), np.int16)
    mask[..., 1, 1] = 1
    noise = np.full(data.shape, 3.0, np.float32)
    path = save(tmp_path / "c.fits", ("SCI", data, CARDS), (name, noise, {}), ("MASK", mask, {}))
    spectra = read(path)[:, :]
    np.testing.assert_array_equal(spectra.variance, 9.0 if name == "ERR" else 3.0)
    assert np.flatnonzero(spectra.mask.all(axis=1)).tolist() == [NX + 1]
    assert spectra.mask.sum() == NZ


def test_jwst_quality_has_one_fatal_bit(tmp_path):
    data, quality = cube_values(), np.zeros((NZ, NY, NX), np.int32)
    quality[0], quality[1] = 4, 5
    cards = CARDS | {"CTYPE3": "WAVE", "CUNIT3": "um", "CRVAL3": 0.65, "CDELT3": 1.25e-4}
    path = save(
        tmp_path / "c.fits",
        ("SCI", data, cards),
        ("DQ", quality, {}),
        primary={"TELESCOP": "JWST", "INSTRUME": "NIRSPEC", "GRATING": "G140M"},
    )
    cube = read(path)
    assert cube.instrument == "nirspec-g140m"
    spectra = cube[0, 0]
    assert np.flatnonzero(spectra.mask[0]).tolist() == [1]
    np.testing.assert_allclose(spectra.axis.values, AXIS.values)
    assert spectra.axis.medium == "vacuum"


def manga_images(rows: bool):
    data = cube_values()
    shape = data.shape
    ivar = np.full(shape, 0.25, np.float32)
    ivar[2, 0, 0] = 0.0
    sigma = np.broadcast_to(np.linspace(1.0, 2.0, NZ)[:, None, None], shape).astype(np.float32)
    mask = np.zeros(shape, np.int32)
    mask[4, 0, 1] = 1024
    images = {"FLUX": data, "IVAR": ivar, "MASK": mask, "LSFPOST": sigma}
    if rows:
        images = {k: np.ascontiguousarray(v.reshape(NZ, -1).T) for k, v in images.items()}
    return images


@pytest.mark.parametrize("rows", [False, True])
def test_manga_cube_and_rows(tmp_path, rows):
    wave = AXIS.values * np.exp(0.0)
    images = [(name, data, {}) for name, data in manga_images(rows).items()]
    path = save(
        tmp_path / "manga.fits",
        *images,
        ("WAVE", wave, {}),
        ("SPECRES", np.full(NZ, 2000.0), {}),
        primary={"MANGAID": "1-1", "INSTRUME": "MaNGA"},
    )
    data = read(path)
    assert isinstance(data, Spectra if rows else Cube)
    spectra = data if rows else data[:, :]
    assert spectra.instrument == "manga"
    assert spectra.axis.medium == "vacuum"
    assert sorted(map(tuple, np.argwhere(spectra.mask).tolist())) == [(0, 2), (1, 4)]
    assert spectra.variance[5, 5] == 4.0
    assert np.isinf(spectra.variance[0, 2])
    fwhm = spectra.line_spread.fwhm_angstrom(wave[[0, -1]])
    np.testing.assert_allclose(fwhm[7], [2.354820, 4.709640], rtol=1e-6)


@pytest.mark.parametrize("position", [1, 2, 3])
def test_generic_cube_with_the_spectral_axis_anywhere(tmp_path, position):
    data = np.moveaxis(cube_values(), 0, 3 - position)
    cards = {key.replace("3", str(position)): value for key, value in CARDS.items()}
    path = save(tmp_path / "c.fits", ("", data, cards))
    cube = read(path)
    assert cube.shape == (NY, NX, NZ)
    np.testing.assert_array_equal(cube[2, 3].flux[0], cube_values()[:, 2, 3])


def test_generic_spectrum_scaled_and_descending(tmp_path):
    hdu = fits.PrimaryHDU(np.array([0, 10, 20, -32768], np.int16))
    hdu.header.update({"CRVAL1": 700.0, "CDELT1": -1.0, "CTYPE1": "WAVE", "CUNIT1": "nm"})
    hdu.header.update({"BLANK": -32768, "BUNIT": "Jy"})
    path = tmp_path / "s.fits"
    hdu.writeto(path)
    # astropy writes no BSCALE beside raw integers: put the cards in by hand
    content = path.read_bytes()
    end = content.index(b"END     ")
    cards = b"BSCALE  =                  0.5".ljust(80) + b"BZERO   =                  1.0".ljust(
        80
    )
    path.write_bytes((content[:end] + cards + b"END").ljust(2880) + content[2880:])
    spectra = read(path)
    np.testing.assert_allclose(spectra.axis.values, [6970.0, 6980.0, 6990.0, 7000.0])
    np.testing.assert_array_equal(spectra.flux[0], [np.nan, 11.0, 6.0, 1.0])
    assert spectra.unit == "Jy"


def test_sdss_spectrum(tmp_path):
    loglam = 3.58 + 1e-4 * np.arange(50)
    mask = np.zeros(50, np.int32)
    mask[3], mask[4] = 1 << 24, 1 << 16  # no data; a remark
    table = Table(
        {
            "flux": np.arange(50.0),
            "loglam": loglam,
            "ivar": np.r_[0.0, np.full(49, 4.0)],
            "and_mask": mask,
            "wdisp": np.full(50, 1.1),
        }
    )
    hdus = [
        fits.PrimaryHDU(),
        fits.BinTableHDU(table, name="COADD"),
        fits.BinTableHDU(Table({"Z": [0.123]}), name="SPECOBJ"),
    ]
    path = tmp_path / "spec.fits"
    fits.HDUList(hdus).writeto(path)
    spectra = read(path)
    assert (spectra.instrument, spectra.axis.medium) == ("sdss", "vacuum")
    assert spectra.redshift[0] == pytest.approx(0.123)
    assert np.flatnonzero(spectra.mask[0]).tolist() == [0, 3]
    assert spectra.variance[0, 10] == 0.25
    sigma = 1.1 * 1e-4 * np.log(10) * 10 ** loglam[20]
    assert spectra.line_spread.fwhm_angstrom(10 ** loglam[[20]])[0] == pytest.approx(
        2.3548200 * sigma
    )


def desi_images(offset: float):
    hdus = [fits.PrimaryHDU()]
    grids = {"B": 3600.0 + 0.8 * np.arange(50), "R": 3632.0 + offset + 0.8 * np.arange(60)}
    for camera, wave in grids.items():
        level = 1.0 if camera == "B" else 3.0
        parts = {"WAVELENGTH": wave, "FLUX": np.full((2, wave.size), level, np.float32)}
        parts["IVAR"] = np.full((2, wave.size), 1.0 if camera == "B" else 3.0, np.float32)
        parts["MASK"] = np.zeros((2, wave.size), np.int32)
        parts["MASK"][0, -1] = 1
        hdus += [fits.ImageHDU(v, name=f"{camera}_{k}") for k, v in parts.items()]
    targets = Table({"TARGETID": np.array([39_633_345_008_634_465, 7], np.int64)})
    return [*hdus, fits.BinTableHDU(targets, name="FIBERMAP")]


def test_desi_cameras_are_averaged_on_the_common_grid(tmp_path):
    path = tmp_path / "coadd-1.fits"
    fits.HDUList(desi_images(0.0)).writeto(path)
    redrock = Table({"TARGETID": [7, 39_633_345_008_634_465], "Z": [0.7, 0.3]})
    fits.BinTableHDU(redrock, name="REDSHIFTS").writeto(tmp_path / "redrock-1.fits")
    spectra = read(path)
    assert spectra.flux.shape == (2, 100)
    np.testing.assert_allclose(spectra.axis.values, 3600.0 + 0.8 * np.arange(100))
    np.testing.assert_allclose(spectra.flux[1, [0, 45, 99]], [1.0, (1 + 3 * 3) / 4, 3.0])
    np.testing.assert_allclose(spectra.variance[1, [0, 45, 99]], [1.0, 0.25, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(spectra.flux[0, 49], 3.0)  # the masked one is left out
    assert np.flatnonzero(spectra.mask[0]).tolist() == [99]
    np.testing.assert_allclose(spectra.redshift, [0.3, 0.7])


def test_desi_cameras_on_other_grids_are_cut(tmp_path):
    path = tmp_path / "spectra.fits"
    fits.HDUList(desi_images(0.3)).writeto(path)
    spectra = read(path)
    assert np.all(np.diff(spectra.axis.values) > 0)
    assert "cut in their middle" in spectra.meta["format"]
    assert set(np.unique(spectra.flux)) == {1.0, 3.0}


def rows(n: int = 6) -> Spectra:
    rng = np.random.default_rng(1)
    return Spectra(
        rng.normal(size=(n, NZ)).astype(np.float32),
        AXIS,
        variance=np.full((n, NZ), 0.25, np.float32),
        mask=rng.random((n, NZ)) < 0.1,
        line_spread=LineSpread("gaussian", resolution=np.linspace(1500, 2500, n)),
        redshift=np.linspace(0.0, 0.1, n),
        instrument="muse",
        unit="10**-20 erg Angstrom-1 s-1 cm-2",
        meta={"OBJECT": "two lines"},
    )


def test_row_stacked_round_trip(tmp_path):
    path, spectra = tmp_path / "rows.fits", rows()
    write_row_stacked(path, spectra)
    back = read(path)
    np.testing.assert_array_equal(back.flux, spectra.flux)
    np.testing.assert_allclose(back.variance, spectra.variance, rtol=1e-6)
    np.testing.assert_array_equal(back.mask, spectra.mask)
    np.testing.assert_allclose(back.line_spread.resolution, spectra.line_spread.resolution)
    np.testing.assert_allclose(back.redshift, spectra.redshift)
    assert (back.unit, back.instrument, back.axis.medium) == (spectra.unit, "muse", "air")
    assert back.meta["OBJECT"] == "two lines"


@pytest.mark.parametrize("scaled", [False, True])
def test_row_stacked_wavenumbers(tmp_path, scaled):
    axis = SpectralAxis(
        14600.0 + 2.0 * np.arange(NZ), "wavenumber", "air", np.full(2, 1.01) if scaled else None
    )
    spread = LineSpread("sinc", fwhm_cm1=np.array([2.5, 2.6]))
    spectra = Spectra(np.ones((2, NZ)), axis, line_spread=spread, instrument="sitelle-sn3")
    write_row_stacked(tmp_path / "r.fits", spectra)
    back = read(tmp_path / "r.fits")
    assert (back.axis.kind, back.axis.medium) == ("wavenumber", "air")
    np.testing.assert_allclose(back.axis.per_spectrum(2), axis.per_spectrum(2))
    np.testing.assert_allclose(back.line_spread.sinc_fwhm_cm1(), [2.5, 2.6])


def test_resolution_of_a_sinc_instrument_stays_a_sinc(tmp_path):
    spectra = replace(rows(), line_spread=None, instrument="sitelle-sn3")
    write_row_stacked(tmp_path / "r.fits", spectra)
    spread = read(tmp_path / "r.fits", resolution=5000.0).line_spread
    assert spread.shape == "sinc"
    assert float(spread.sinc_fwhm_cm1()) == pytest.approx(1e8 / 6562.80 / 5000.0)


def test_large_files_are_read_by_slices(tmp_path, monkeypatch):
    monkeypatch.setattr("nebulines.io.images.EAGER_BYTES", 100)
    path, spectra = tmp_path / "rows.fits", rows(50)
    write_row_stacked(path, spectra)
    sizes = []
    original = FitsHdu.read

    def watch(self, key=()):
        value = original(self, key)
        sizes.append(value.size)
        return value

    back = read(path)
    assert isinstance(back.flux, LazyArray)
    monkeypatch.setattr(FitsHdu, "read", watch)
    some = back[10:13]
    assert sizes == [3 * NZ] * 3  # flux, error, mask of three rows
    assert type(some.flux) is np.ndarray
    np.testing.assert_array_equal(some.flux, spectra.flux[10:13])
    chosen = np.array([4, 2, 30])
    np.testing.assert_array_equal(back[chosen].mask, spectra.mask[chosen])
    np.testing.assert_array_equal(back.flux[3], spectra.flux[3])
    np.testing.assert_allclose(np.sum(back.flux, axis=1), spectra.flux.sum(axis=1))


def test_a_block_of_a_cube_reads_only_itself(tmp_path, monkeypatch):
    path = save(tmp_path / "c.fits", ("DATA", cube_values(), CARDS), ("STAT", cube_values(), {}))
    cube = read(path)
    sizes = []
    original = FitsHdu.read

    def watch(self, key=()):
        value = original(self, key)
        sizes.append(value.size)
        return value

    monkeypatch.setattr(FitsHdu, "read", watch)
    cube[1, 1:3]
    assert sizes == [2 * NZ, 2 * NZ]


@pytest.mark.parametrize("suffix", ["fits.gz", "fits"])
def test_compressed_cubes(tmp_path, suffix):
    data = cube_values()
    path = tmp_path / f"c.{suffix}"
    if suffix == "fits.gz":
        save(path, ("DATA", data, CARDS), ("STAT", data + 1, {}))
    else:
        header = fits.Header(CARDS)
        image = fits.CompImageHDU(data.astype(np.int32), header, name="DATA")
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    np.testing.assert_array_equal(read(path)[1, 2].flux[0], data[:, 1, 2])


def test_write_muse_round_trip(tmp_path):
    n = NY * NX
    rng = np.random.default_rng(2)
    flux = rng.normal(size=(n, NZ)).astype(np.float32)
    mask = rng.random((n, NZ)) < 0.2
    whole = Spectra(flux, AXIS, variance=np.abs(flux) + 1, mask=mask)

    def block_of(b: Block) -> Spectra:
        index = np.arange(n).reshape(NY, NX)[b.y0 : b.y1, b.x0 : b.x1].ravel()
        return whole[index]

    cube = Cube((NY, NX, NZ), block_of)
    path = tmp_path / "cube.fits"
    write_muse(path, ((b, block_of(b)) for b in cube.blocks(3)), shape=(NY, NX), axis=AXIS)
    back = read(path)
    np.testing.assert_array_equal(back[:, :].flux, flux)
    np.testing.assert_array_equal(back[:, :].mask, mask)
    np.testing.assert_array_equal(back[:, :].variance, np.abs(flux) + 1)
    np.testing.assert_allclose(back[0, 0].axis.values, AXIS.values)
    again = tmp_path / "again.fits"
    write_muse(again, back)
    np.testing.assert_array_equal(read(again)[:, :].flux, flux)
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus][1:] == ["DATA", "STAT", "DQ"]


def test_table_of_one_spectrum(tmp_path):
    table = Table(
        {"wavelength": 700.0 - np.arange(5.0), "flux": np.arange(5.0), "error": np.ones(5)}
    )
    table["wavelength"].unit = "nm"
    table["flux"].unit = "erg / (s cm2 Angstrom)"
    table.write(tmp_path / "t.fits")
    spectra = read(tmp_path / "t.fits")
    np.testing.assert_allclose(spectra.axis.values, 6960.0 + 10.0 * np.arange(5))
    np.testing.assert_array_equal(spectra.flux[0], [4, 3, 2, 1, 0])
    np.testing.assert_array_equal(spectra.variance, 1.0)


def test_faint_fluxes_keep_their_variance(tmp_path):
    """(1e-20)^2 is not a float32."""
    spectra = replace(rows(), variance=np.full((6, NZ), 1e-40))
    write_row_stacked(tmp_path / "r.fits", spectra)
    np.testing.assert_allclose(read(tmp_path / "r.fits").variance, 1e-40, rtol=1e-6)


def test_choices_replace_what_the_file_says(tmp_path):
    write_row_stacked(tmp_path / "r.fits", rows())
    spectra = read(tmp_path / "r.fits", instrument="SDSS", resolution=1234.0, redshift=0.05)
    assert spectra.instrument == "sdss"
    assert float(spectra.line_spread.resolution) == 1234.0
    assert set(spectra.redshift) == {0.05}
    with pytest.raises(UsageError, match="unknown instrument"):
        read(tmp_path / "r.fits", instrument="hubble")
    with pytest.raises(UsageError, match=r"sitelle-sn1 sees 3\d{3} to 3\d{3} Angstrom"):
        read(tmp_path / "r.fits", instrument="sitelle-sn1")
    with pytest.raises(UsageError, match="no extension NOPE"):
        read(tmp_path / "r.fits", hdu="NOPE")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"wavelength flux\n1 2\n", "expected a FITS or HDF5 file"),
        (b"SIMPLE  =                    T" + b" " * 50, "damaged or incomplete"),
        (b"\x1f\x8b nothing", "damaged or incomplete"),
    ],
)
def test_files_that_are_no_fits(tmp_path, content, words):
    path = tmp_path / "named.fits"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read(path)


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "nothing.fits")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_truncated_fits(tmp_path, keep):
    path = tmp_path / "rows.fits"
    write_row_stacked(path, rows(300))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match=r"truncated|damaged|no spectra"):
        read(path)


def test_shapes_that_do_not_agree(tmp_path):
    data = cube_values()
    path = save(tmp_path / "a.fits", ("DATA", data, CARDS), ("STAT", data[:-1], {}))
    with pytest.raises(InputError, match="STAT"):
        read(path)
    path = save(tmp_path / "b.fits", ("SCI", data, CARDS), ("MASK", np.zeros((2, 2)), {}))
    with pytest.raises(InputError, match="MASK"):
        read(path)
    path = save(tmp_path / "c.fits", ("FLUX", data[:, 0], {}), ("WAVE", np.arange(1.0, 4.0), {}))
    with pytest.raises(InputError, match="WAVE"):
        read(path)


def test_no_rows_and_text_for_numbers(tmp_path):
    wave = ("WAVE", np.arange(1.0, 4.0), {})
    path = save(tmp_path / "a.fits", ("FLUX", np.zeros((0, 3), np.float32), {}), wave)
    with pytest.raises(InputError, match=r"no data: its shape is 0 x 3"):
        read(path)
    path = save(tmp_path / "b.fits", ("FLUX", np.zeros((2, 3), np.float32), {}), wave)
    table = fits.BinTableHDU(Table({"redshift": ["near", "far"]}), name="SPECTRA")
    fits.append(path, table.data, table.header)
    with pytest.raises(InputError, match="redshift must hold numbers"):
        read(path)


def test_an_image_of_the_sky_is_refused(tmp_path):
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 1.0, "CDELT1": 1e-4}
    path = save(tmp_path / "i.fits", ("", np.zeros((5, 6), np.float32), cards))
    with pytest.raises(InputError, match="no spectra found"):
        read(path)


def test_a_cube_without_an_axis_says_what_to_add(tmp_path):
    path = save(tmp_path / "i.fits", ("DATA", cube_values(), {}), ("STAT", cube_values(), {}))
    with pytest.raises(InputError, match="CRVAL3"):
        read(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10**(-20)*erg/s/cm**2/Angstrom", "10**-20 erg Angstrom-1 s-1 cm-2"),
        ("10**-20 Angstrom-1 cm-2 erg s-1", "10**-20 erg Angstrom-1 s-1 cm-2"),
        ("1e-20 erg s-1 cm-2", "10**-20 erg s-1 cm-2"),
        ("1E-17 erg/s/cm^2/Ang/spaxel", "10**-17 erg Angstrom-1 s-1 cm-2"),
        ("10**-17 erg/(s cm2 Angstrom)", "10**-17 erg Angstrom-1 s-1 cm-2"),
        ("erg/cm2/s/A", "erg Angstrom-1 s-1 cm-2"),
        ("counts", "count"),
        ("", ""),
        (None, ""),
    ],
)
def test_units_pass_a_strict_parser(text, expected):
    from astropy import units

    assert normalise_unit(text) == expected
    units.Unit(expected, format="fits")


def test_description_of_rows(tmp_path):
    write_row_stacked(tmp_path / "r.fits", rows())
    text = "\n".join(describe(tmp_path / "r.fits"))
    for words in (
        "row-stacked spectra",
        "6 spectra x 11 channels",
        "6500.00 - 6512.50 Angstrom, air, wavelength, linear",
        "error (ERR)",
        "0 to 0.1 (6 of 6 known)",
        "muse",
    ):
        assert words in text

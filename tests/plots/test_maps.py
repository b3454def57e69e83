"""Maps: colours that say what they should, on axes that lie where the sky is."""

import numpy as np
import pytest
from astropy.wcs import WCS
from matplotlib import colormaps
from matplotlib.figure import Figure

from nebulines.plots.maps import MapStyle, draw_map, map_style, mark_spaxels, sky_frame
from nebulines.plots.quality import flag_classes
from nebulines.spectra import Flag


def wcs_at(position_angle: float, *, step: float = 0.2) -> WCS:
    turn = np.radians(position_angle)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [63.3, 10.4]
    wcs.wcs.cd = (
        np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * step / 3600
    )
    return wcs


def test_velocity_map_is_centred_on_the_median_and_ignores_wild_spaxels():
    values = np.linspace(-700.0, -500.0, 100)
    values[:2] = 5000.0
    image = draw_map(Figure().add_subplot(), values.reshape(10, 10), map_style("velocity"))
    low, high = image.get_clim()
    assert 0.5 * (low + high) == pytest.approx(np.median(values))
    assert high < -400.0


def test_flux_map_is_logarithmic_and_hides_what_is_not_positive():
    values = np.array([[100.0, 10.0], [-3.0, np.nan]])
    image = draw_map(Figure().add_subplot(), values, map_style("HALPHA6563_flux"))
    assert image.norm(100.0) == pytest.approx(1.0)
    assert image.norm(np.sqrt(100.0 * image.get_clim()[0])) == pytest.approx(0.5)
    np.testing.assert_array_equal(image.get_array().mask, [[False, False], [True, True]])


def test_unmeasured_spaxels_are_hidden_and_do_not_set_the_colours():
    values = np.array([[1.0, 2.0, 900.0]])
    measured = np.array([[True, True, False]])
    image = draw_map(
        Figure().add_subplot(), values, MapStyle("x", percentiles=(0, 100)), measured=measured
    )
    assert image.get_clim() == (1.0, 2.0)
    assert image.get_array().mask.tolist() == [[False, False, True]]


@pytest.mark.parametrize("stretch", ["linear", "log", "centred"])
@pytest.mark.parametrize("value", [np.nan, 3.0, 0.0])
def test_maps_without_contrast_or_data_are_drawn_without_warnings(stretch, value):
    figure = Figure()
    draw_map(figure.add_subplot(), np.full((3, 4), value), MapStyle("flat", stretch=stretch))
    figure.draw_without_rendering()


@pytest.mark.parametrize("column", ["HALPHA6563_flux", "broadening", "ratio_A_B", "snr", "chi2"])
def test_sequential_colour_maps_rise_steadily_in_lightness(column):
    """Lightness (CIE L* of the relative luminance, sRGB) changes in one direction: the map
    reads in grey, and for colour-blind readers."""
    rgb = colormaps[map_style(column).cmap](np.linspace(0, 1, 64))[:, :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    assert np.all(np.diff(lightness) > 0)


def test_north_up_map_is_in_arcsec_with_east_to_the_left():
    frame = sky_frame((20, 30), wcs_at(0.0))
    assert frame.extent == pytest.approx((3.0, -3.0, -2.0, 2.0))
    assert (frame.x_label, frame.y_label) == ("ΔR.A. [arcsec]", "ΔDec. [arcsec]")


@pytest.mark.parametrize(("y", "x"), [(0, 0), (19, 29), (7, 22)])
def test_positions_are_offsets_on_the_sky(y, x):
    from astropy.coordinates import SkyCoord

    wcs = wcs_at(0.0)
    middle = SkyCoord(*wcs.wcs_pix2world(14.5, 9.5, 0), unit="deg")
    there = SkyCoord(*wcs.wcs_pix2world(x, y, 0), unit="deg")
    east, north = middle.spherical_offsets_to(there)
    assert sky_frame((20, 30), wcs).position(y, x) == pytest.approx(
        (east.arcsec, north.arcsec), abs=1e-3
    )


def test_turned_map_keeps_its_own_axes_and_scale():
    frame = sky_frame((20, 30), wcs_at(40.0))
    assert frame.extent == pytest.approx((-3.0, 3.0, -2.0, 2.0))
    assert frame.x_label == "along x [arcsec]"


def test_marks_carry_numbers_at_their_spaxels():
    axes = Figure().add_subplot()
    mark_spaxels(axes, sky_frame((4, 4)), [(1, 2), (3, 0)])
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert [text.xy for text in axes.texts] == [(2.0, 1.0), (0.0, 3.0)]


def test_worst_flag_wins_and_harmless_bits_count_as_good():
    flags = np.array(
        [Flag.LINE_OUTSIDE_BAND, Flag.SECOND_COMPONENT | Flag.POOR_FIT, Flag.NO_DATA | Flag.LOW_SNR]
    )
    classes, names, colours = flag_classes(flags)
    assert [names[c] for c in classes] == ["good", "second component", "no data"]
    assert len(names) == len(colours) == len(set(colours))

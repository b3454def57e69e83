"""What every output says about itself: version, input, configuration, conventions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nebulines
from nebulines.fitting.config import FitConfig
from nebulines.spectra import Cube, Flag, Spectra

if TYPE_CHECKING:
    from astropy.io import fits

_MEGABYTE = 1 << 20

_COMMENTS = {
    "NEBVERS": "version of nebulines",
    "INPUT": "file that was fitted",
    "DIGEST": "digest of the input file",
    "DIGALG": "how DIGEST is computed",
    "CONFIG": "resolved configuration (JSON)",
    "VELCONV": "optical: lambda = lambda0 (1+z) (1+v/c)",
    "REDSHIFT": "velocities are relative to it",
    "SPECSYS": "velocity frame of the input",
    "AIRORVAC": "medium of the input's wavelengths",
    "LSFCORR": "instrument removed from broadening",
    "METHOD": "network, fit or both",
    "FITPATH": "how least squares were computed",
    "DATE": "when this was written, UTC",
    "DEREDDEN": "fluxes corrected for extinction",
    "LINETIES": "lines that share velocity and broadening",
    "AMPLITUD": "amplitudes: free, tied, positive",
    "NOISE": "origin of the noise",
    "FLUXUNIT": "unit of the input's flux",
    "LINES": "rest wavelengths in air, Angstrom (JSON)",
    "LINEGRP": "kinematic group of each line (JSON)",
    "BIN": "spaxels averaged along each side of a bin",
}


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's size [decimal digits] followed by its first and its last MiB:
    enough to tell two inputs apart without reading a cube of 20 GB.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "input"
        >>> _ = path.write_bytes(b"spectra")
        >>> file_digest(path)[:12]
        '6d10480f3381'
    """
    path = Path(path)
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        digest.update(stream.read(_MEGABYTE))
        stream.seek(max(size - _MEGABYTE, 0))
        digest.update(stream.read(_MEGABYTE))
    return digest.hexdigest()


def provenance(
    data: Spectra | Cube, config: FitConfig, *, source: str | Path | None = None
) -> dict[str, Any]:
    """FITS keywords and values that say what was fitted, how, and in which conventions.

    Args:
        data: what was fitted.
        config: the resolved configuration.
        source: file that the data came from; None = ``data.meta["source"]`` if it is a file.

    Example:
        >>> from nebulines.spectral_axis import SpectralAxis
        >>> axis = SpectralAxis(np.linspace(6500.0, 6600.0, 11), "wavelength", "air")
        >>> meta = provenance(Spectra(np.ones((1, 11)), axis), FitConfig(redshift=0.1))
        >>> meta["VELCONV"], meta["REDSHIFT"], meta["AIRORVAC"]
        ('optical', 0.1, 'air')
    """
    meta: dict[str, Any] = {"CREATOR": "nebulines", "NEBVERS": nebulines.__version__}
    meta |= _input(source or data.meta.get("source"))
    meta["CONFIG"] = json.dumps(config.as_dict())
    meta["VELCONV"] = config.velocity_convention
    meta["REDSHIFT"] = reference_redshift(data, config)
    meta["SPECSYS"] = str(data.meta.get("SPECSYS") or "unknown")
    if isinstance(data, Spectra):
        meta["AIRORVAC"] = {"air": "air", "vacuum": "vac"}[data.axis.medium]
    meta |= {"DEREDDEN": False, "LINETIES": config.ties}
    meta |= {"AMPLITUD": config.amplitudes, "FLUXUNIT": data.unit}
    meta |= {k: data.meta[k] for k in ("OBJECT", "INSTRUME", "DATE-OBS") if data.meta.get(k)}
    if data.instrument:
        meta["INSTROW"] = data.instrument
    return meta | _line_facts(config)


def reference_redshift(data: Spectra | Cube, config: FitConfig) -> float | str:
    """The redshift of all spectra (0 when nothing says any), or where to find each one's."""
    if isinstance(config.redshift, int | float):
        return float(config.redshift)
    own = data.redshift if isinstance(data, Spectra) else data[0, 0].redshift
    if own is None:
        return 0.0
    return float(own[0]) if len(set(own)) == 1 and len(own) > 1 else "column redshift"


def _line_facts(config: FitConfig) -> dict[str, str]:
    """``LINES``: rest wavelength in air [Angstrom] of each line; ``LINEGRP``: the kinematic
    group of each line, from 1, where there is more than one. Both as JSON."""
    from nebulines.lines import kinematic_groups, load_catalogue

    lines = load_catalogue(config.catalogue).select(config.lines or ())
    air = {n: round(float(w), 4) for n, w in zip(lines.names, lines.wavelength_air, strict=True)}
    groups = kinematic_groups(lines.names, config.ties) if len(lines) else np.zeros(0)
    if not np.any(groups):
        return {"LINES": json.dumps(air)}
    numbers = {n: int(g) + 1 for n, g in zip(lines.names, groups, strict=True)}
    return {"LINES": json.dumps(air), "LINEGRP": json.dumps(numbers)}


def _input(source: Any) -> dict[str, str]:
    if not source:
        return {}
    path = Path(str(source))
    if not path.is_file():
        return {"INPUT": path.name}
    digest = {"DIGEST": file_digest(path), "DIGALG": "sha256 of size, first and last MiB"}
    return {"INPUT": path.name, **digest}


def flag_bits() -> dict[str, str]:
    """Header keywords BIT0, BIT1 ... with the meaning of each bit of the flags.

    Example:
        >>> flag_bits()["BIT0"]
        'NO_DATA: no usable channel or line: nothing was fitted'
    """
    return {f"BIT{flag.bit_length() - 1}": f"{flag.name}: {flag.meaning}" for flag in Flag}


def add_cards(header: fits.Header, meta: Mapping[str, Any]) -> None:
    """Write metadata into a FITS header; long text goes on in CONTINUE cards."""
    for key, value in meta.items():
        keyword = key if len(key) <= 8 else f"HIERARCH {key}"
        comment = _COMMENTS.get(key)
        if isinstance(value, str):
            value = value.encode("ascii", "replace").decode()
            comment = comment if len(value) < 18 else None
        header[keyword] = (value, comment)


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00")

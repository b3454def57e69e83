"""nebulines: emission lines of galaxies and nebulae, measured.

Example:
    >>> import nebulines as nl
    >>> nl.constants.SPEED_OF_LIGHT_KMS
    299792.458
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nebulines.runtime import configure

if TYPE_CHECKING:
    from nebulines.cubes.measure import estimate as estimate
    from nebulines.cubes.measure import fit as fit
    from nebulines.cubes.sample import sample as sample
    from nebulines.galaxies import paint as paint
    from nebulines.galaxies.denoising.denoise import denoise as denoise
    from nebulines.io import read as read
    from nebulines.spectra import Cube as Cube
    from nebulines.spectra import Spectra as Spectra
    from nebulines.synthetic import simulate as simulate

__version__ = "0.1.0"

# public name -> module that defines it; imported on first use, so that `import nebulines`
# and `nebulines --help` stay fast
_HOMES = {
    "denoise": "nebulines.galaxies.denoising.denoise",
    "estimate": "nebulines.cubes.measure",
    "fit": "nebulines.cubes.measure",
    "paint": "nebulines.galaxies",
    "read": "nebulines.io",
    "sample": "nebulines.cubes.sample",
    "simulate": "nebulines.synthetic",
    "Spectra": "nebulines.spectra",
    "Cube": "nebulines.spectra",
    "constants": "nebulines.constants",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nebulines' has no attribute {name!r}")
    configure(inline=False)  # before that module imports JAX
    module = importlib.import_module(_HOMES[name])
    if module.__name__ == f"nebulines.{name}":
        return module
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""The data that flow through nebulines: spectra, cubes and quality flags."""

from nebulines.spectra.cube import Cube
from nebulines.spectra.flags import Flag
from nebulines.spectra.spectra import Spectra

__all__ = ["Cube", "Flag", "Spectra"]

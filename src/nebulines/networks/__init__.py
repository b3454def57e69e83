"""Networks that read spectra, with the weights that come with the package."""

from nebulines.networks.weights import Pretrained, load, shipped

__all__ = ["Pretrained", "load", "shipped"]

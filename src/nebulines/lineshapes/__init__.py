"""Line shapes of unit area with exact limits and derivatives."""

from nebulines.lineshapes.kernels import (
    gaussian_kernel,
    gaussian_peak,
    gaussian_value,
    near_channels,
    sinc_kernel,
    sinc_value,
    sincgauss_kernel,
    sincgauss_peak,
    sincgauss_value,
)
from nebulines.lineshapes.reduced import Kernel

__all__ = [
    "Kernel",
    "gaussian_kernel",
    "gaussian_peak",
    "gaussian_value",
    "near_channels",
    "sinc_kernel",
    "sinc_value",
    "sincgauss_kernel",
    "sincgauss_peak",
    "sincgauss_value",
]

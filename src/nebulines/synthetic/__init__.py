"""Simulated spectra with known truth."""

from nebulines.synthetic.spectra import simulate

__all__ = ["simulate"]

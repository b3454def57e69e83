"""Simulated spectra with known truth."""

from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.spectra import simulate, simulate_blocks

__all__ = ["SimulationConfig", "simulate", "simulate_blocks"]

"""The demonstration: maps of the gas in the core of Abell 478, from a real MUSE cube."""

from nebulines.demo.run import run_demo

__all__ = ["run_demo"]

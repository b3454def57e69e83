"""Galaxies drawn from a population of our own, and seen by surveys."""

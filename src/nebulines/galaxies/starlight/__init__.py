"""Starlight: a basis of stellar populations, and its fit under the lines."""

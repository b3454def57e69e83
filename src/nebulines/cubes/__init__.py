"""Cubes and surveys: the fit over blocks, its outputs, masks, regions and bins."""

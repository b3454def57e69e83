"""The explorer: pages on which one looks at populations of galaxies and at maps of a cube."""

from nebulines.explorer.explore import explore

__all__ = ["explore"]

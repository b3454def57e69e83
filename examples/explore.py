"""Galaxies of the package on a page to look at, and as a figure.

python examples/explore.py [NUMBER]
"""

import sys

from nebulines.explorer.demo_population import demo_population
from nebulines.explorer.panels import draw_panels
from nebulines.explorer.population_page import write_population
from nebulines.plots import save_figure


def main(number: str = "20000") -> None:
    galaxies = demo_population(int(number), seed=1)
    page = write_population(galaxies, "galaxies.html")
    save_figure(draw_panels(galaxies, ("HALPHA6563", "OIII5007")), "galaxies", formats=("png",))
    sys.stdout.write(f"open {page.resolve().as_uri()}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

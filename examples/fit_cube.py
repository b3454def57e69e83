"""Fit every spaxel of a cube, write its maps and draw them.

python examples/fit_cube.py cube.fits gas 0.0881
"""

import sys

import nebulines as nl
from nebulines.plots import plot_result, save_figure


def main(path: str, prefix: str, redshift: str) -> None:
    cube = nl.read(path)
    result = nl.fit(cube, redshift=float(redshift), keep_model=True)
    result.write_maps(f"{prefix}_MAPS.fits")
    save_figure(plot_result(result, cube), prefix)


if __name__ == "__main__":
    main(*sys.argv[1:])

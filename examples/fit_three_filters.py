"""Fit three filters of one field together, and map the dust and the classes of its nebulae.

python examples/fit_three_filters.py SN1.hdf5 SN2.hdf5 SN3.hdf5 dust.fits
"""

import sys

import nebulines as nl
from nebulines.nebular.interpret import interpret


def main(*paths: str) -> None:
    *bands, output = paths
    result = nl.fit([nl.read(path) for path in bands])
    meaning = interpret(result)
    decrement = result["ratio_HALPHA6563_HBETA4861"]
    print(f"{len(result)} spaxels, {(decrement > 0).sum()} with H-alpha / H-beta")
    meaning.write_maps(output)


if __name__ == "__main__":
    main(*sys.argv[1:])

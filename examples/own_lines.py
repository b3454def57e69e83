"""Look for a line that the catalogue lacks; where it is not detected, print the upper limit.

python examples/own_lines.py spectra.fits
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nebulines as nl

LINES = """name,wavelength_air
MYSTERY6620,6620.0
"""


def main(path: str) -> None:
    with TemporaryDirectory() as folder:
        catalogue = Path(folder) / "lines.csv"
        catalogue.write_text(LINES)
        names = ("HALPHA6563", "NII6583", "MYSTERY6620")
        result = nl.fit(nl.read(path), lines=names, catalogue=str(catalogue))
    columns = ["MYSTERY6620_flux", "MYSTERY6620_flux_err", "MYSTERY6620_flux_limit"]
    sys.stdout.write("\n".join(result.table()[columns].pformat()) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

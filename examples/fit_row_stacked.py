"""Fit a file of spectra with the [N II] ratio held to theory, and keep the good rows.

python examples/fit_row_stacked.py spectra.fits good.ecsv
"""

import sys

import nebulines as nl


def main(path: str, output: str) -> None:
    spectra = nl.read(path)
    lines = ("NII6548", "HALPHA6563", "NII6583")
    table = nl.fit(spectra, lines=lines, amplitudes="tied").table()
    good = table[table["flags"] == 0]
    good.write(output, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

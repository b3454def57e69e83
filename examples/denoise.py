"""De-noise galaxies as DESI would see them, and read H-alpha with its posterior error.

python examples/denoise.py clean.fits
"""

import sys

import nebulines as nl


def main(output: str) -> None:
    _, spectra = nl.simulate("galaxies-desi", n=12, seed=4)
    clean = nl.denoise(spectra, draws=50)
    lines = clean.lines()
    for row in lines["HALPHA6563_ew", "HALPHA6563_ew_err", "flags"]:
        print(f"EW(H-alpha) = {row[0]:7.2f} +- {row[1]:5.2f} Angstrom, flags {row[2]}")
    clean.write(output)


if __name__ == "__main__":
    main(*sys.argv[1:])

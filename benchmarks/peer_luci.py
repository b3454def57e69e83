"""Fit spectra with LUCI (PyPI ``luci-sitelle``), in a Python where that is installed.

Run by `benchmarks.speed` as ``PYTHON benchmarks/peer_luci.py SPECTRA.npz RESULT.npz``; needs
NumPy, Astropy and LUCI, and nothing of nebulines. LUCI is given what it asks for: wavenumbers,
flux, the scan, and the field angle that makes its line width that of the spectrum; its own network
starts the fit, its own Hessian gives the errors.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

LINES = ["Halpha", "NII6583", "NII6548", "SII6716", "SII6731"]


def main(source: str, target: str) -> None:
    """Fit every row of ``source`` and write velocity, broadening, errors and seconds."""
    warnings.simplefilter("ignore")
    from luci.fitting import SpectrumFitter
    from luci.io.assets import resolve_luci_path
    from luci.io.reference import read_in_reference_spectrum

    given = np.load(source)
    axis, flux = given["axis"], given["flux"].astype(float)
    folder = resolve_luci_path(None)
    reference = Path(folder) / "ML" / "Reference-Spectrum-R5000-SN3.fits"
    grid, _ = read_in_reference_spectrum(str(reference), {"FILTER": "SN3"})
    rows, seconds = [], 0.0
    for k, spectrum in enumerate(flux):
        begin = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            fitter = SpectrumFitter(
                spectrum,
                axis,
                grid,
                model_type="sincgauss",
                lines=LINES,
                vel_rel=[1] * len(LINES),
                sigma_rel=[1] * len(LINES),
                theta=float(given["theta_degrees"][k]),
                delta_x=float(given["step_nm"]),
                n_steps=int(given["n_steps"]),
                zpd_index=int(given["zpd_index"]),
                filter="SN3",
                uncertainty_bool=True,
                resolution=5000,
                Luci_path=folder,
            )
            found = fitter.fit()
        if k > 0:  # the first fit loads the network
            seconds += time.perf_counter() - begin
        rows.append(
            [
                found["velocities"][0],
                found["vels_errors"][0],
                found["sigmas"][0],
                found["sigmas_errors"][0],
            ]
        )
    table = np.array(rows, float)
    np.savez(
        target,
        velocity=table[:, 0],
        velocity_err=table[:, 1],
        broadening=table[:, 2],
        broadening_err=table[:, 3],
        seconds_per_spectrum=seconds / max(len(rows) - 1, 1),
        started_by_network=fitter.predictor is not None,
        version=version("luci-sitelle"),
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

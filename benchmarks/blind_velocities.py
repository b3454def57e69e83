"""Velocities when no range is stated: how many are marked ambiguous, and how many are wrong.

    python -m benchmarks.blind_velocities [--n 2000]

writes ``benchmarks/results/kinematics/blind.md``: nebulae of several kinds within 400 km/s through
SITELLE SN3 at R 4800-5000, S/N 5 to 30, searched over the +-1000 km/s of the package. Where [N II]
6583 is taken for H-alpha, the velocity is 943 km/s too high.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

RESULT = Path("benchmarks/results/kinematics/blind.md")
SEED = 78
PRIORS = ("hii", "pn", "agn", "shock")
METHODS = ("network", "both", "fit")
LINES = ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731")
FAR_KMS, FAR_ERRORS = 60.0, 6.0


def row(columns: dict[str, Any], velocity: np.ndarray) -> list[float]:
    """Share [%] marked ambiguous, wrong, and wrong without a flag that tells not to trust it.

    Args:
        columns: of a result.
        velocity: (n,) true ones [km/s].
    """
    from nebulines.evaluation.summary import DISTRUSTED
    from nebulines.spectra import Flag

    flags = np.asarray(columns["flags"])
    miss = np.abs(np.asarray(columns["velocity"], float) - velocity)
    wrong = miss > np.maximum(FAR_KMS, FAR_ERRORS * np.asarray(columns["velocity_err"], float))
    told = (flags & int(DISTRUSTED)) != 0
    ambiguous = (flags & int(Flag.AMBIGUOUS_VELOCITY)) != 0
    return [100.0 * float(np.mean(where)) for where in (ambiguous, wrong, wrong & ~told)]


def main() -> None:
    """Measure and write."""
    from nebulines.cubes.measure import estimate, fit
    from nebulines.io.atomic import atomic_path
    from nebulines.runtime import configure
    from nebulines.synthetic import simulate

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=2000)
    options = parser.parse_args()
    configure()
    table = ["| kind | method | ambiguous % | wrong % | wrong, not flagged % |"]
    table.append("| --- | --- | --- | --- | --- |")
    for prior in PRIORS:
        drawn = {"prior": prior, "velocity": (-400.0, 400.0), "snr": (5.0, 30.0), "lines": LINES}
        truth, spectra = simulate(
            "sitelle-sn3", options.n, (SEED, 5000), resolution=(4800.0, 5000.0), **drawn
        )
        for method in METHODS:
            if method == "network":
                found = estimate(spectra, lines=LINES)
            else:
                found = fit(spectra, lines=LINES, method=method)
            numbers = row(found.columns, np.asarray(truth["velocity"], float))
            table.append(
                f"| {prior} | {method} | " + " | ".join(f"{x:.2f}" for x in numbers) + " |"
            )
    text = (
        "# Velocities when no range is stated\n\n"
        f"`python -m benchmarks.blind_velocities --n {options.n}`: {options.n:,} spectra of each "
        "kind, velocities within ±400 km/s searched over ±1000, SITELLE SN3, R 4800-5000, S/N 5 to "
        f"30. Wrong: more than {FAR_KMS:g} km/s and {FAR_ERRORS:g} stated errors off.\n\n"
    )
    with atomic_path(RESULT) as partial:
        partial.write_text(text + "\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

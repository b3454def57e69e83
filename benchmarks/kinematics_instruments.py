"""Calibration of ``kinematics`` on every instrument that it was settled on.

    python -m benchmarks.kinematics_instruments [WEIGHTS ...] [--n 2048]

writes ``benchmarks/results/kinematics/instruments.md``: bias over stated error and coverage of the
posterior, for the sets of ``settle_kinematics.toml`` other than SITELLE SN3 (which the report on
kinematics judges), from seeds of their own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

RESULT = Path("benchmarks/results/kinematics/instruments.md")
SEED = 991
REPORTED = "sitelle-sn3"


def row(network: Any, seen: Any) -> list[float]:
    """Bias over stated error, coverage of 68 and 95 % and median miss in widths of the line
    spread, of velocity and of broadening."""
    import jax

    from nebulines.networks.kinematics.posterior import cumulative, moments, where_found

    @jax.jit
    def judged(seen: Any) -> Any:
        mixture = network.posterior(seen.features, seen.snr)
        return (
            cumulative(mixture, seen.box, seen.u, seen.r),
            moments(where_found(mixture), seen.box),
        )

    probability, found = judged(seen)
    misses = (found.mean_u - seen.u, found.sigma_u), (found.mean_r - seen.r, found.sigma_r)
    numbers = []
    for p, (miss, error) in zip(probability, misses, strict=True):
        away = np.abs(np.asarray(p) - 0.5)
        inside = [100.0 * np.mean(away < 0.5 * level) for level in (0.68, 0.95)]
        numbers += [np.median(miss / error), *inside, np.median(np.abs(miss))]
    return [float(x) for x in numbers]


def main() -> None:
    """Measure and write."""
    from benchmarks.settle_kinematics import STREAM, measured_of, sets
    from nebulines.io.atomic import atomic_path
    from nebulines.networks.weights import load
    from nebulines.runtime import configure

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="*", default=["kinematics"])
    parser.add_argument("--n", type=int, default=2048)
    options = parser.parse_args()
    configure()
    head = ["instrument", "told velocity", "weights"]
    for quantity in ("v", "s"):
        head += [f"{quantity}: bias / error", "68 % cover", "95 % cover", "median miss [widths]"]
    lines = [head, ["---"] * len(head)]
    for number, (instrument, drawn, told) in enumerate(sets()):
        if instrument == REPORTED:
            continue
        seen = measured_of(instrument, drawn, told, options.n, (SEED, STREAM, number))
        for name in options.weights:
            numbers = row(load(name).network, seen)
            forms = ("+.2f", ".1f", ".1f", ".4f") * 2
            cells = [format(x, form) for x, form in zip(numbers, forms, strict=True)]
            lines.append([instrument, f"±{told['velocity_range'][1]:g}", Path(name).stem, *cells])
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    text = (
        "# The network `kinematics` on other instruments\n\n"
        f"`python -m benchmarks.kinematics_instruments --n {options.n}`: spectra of "
        "`benchmarks/settle_kinematics.toml` (S/N 3 to 60, broadening 0 to 150 km/s, told 0 to "
        "200, or, with ±1000 km/s, 0 to 500), from seeds that nothing learned from. `before`: the "
        "weights that mock windows alone "
        "had taught, from which the shipped ones went on. Errors of the coverages: 1.0 and 0.5 for "
        "2,048 spectra. A width is the FWHM of the line spread over 1.2067.\n\n"
    )
    with atomic_path(RESULT) as partial:
        partial.write_text(text + table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

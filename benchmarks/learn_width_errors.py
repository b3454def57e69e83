"""Learn how errors of equivalent widths follow the widths, from a measured sample.

    python -m benchmarks.learn_width_errors desi_bgs_line_ews.npz

writes ``src/nebulines/galaxies/widths/data/width_errors.toml``. It holds, for every line, widths,
inverse variances and target ids of the DESI BGS test set of Khederlarian et al. 2024.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from nebulines.galaxies.widths.equivalent_widths import LINES, published_names

TARGET = Path("src/nebulines/galaxies/widths/data/width_errors.toml")
HEAD = """# Errors of equivalent widths as DESI's bright galaxies have them, for
# `nebulines.galaxies.widths.errors`: learned by `python -m benchmarks.learn_width_errors` from the
# test set of Khederlarian et al. 2024 (MIT; widths above zero only).
#
# ln(error / Angstrom) = level + slope asinh(EW / Angstrom) + residual, the residual normal with
# standard deviation `residual`, of whose variance all lines of a galaxy share `together`.

"""


def fit_line(ew: np.ndarray, error: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Level, slope and residuals of ln error against asinh EW, outliers cut at 4 deviations."""
    x, y = np.arcsinh(ew), np.log(error)
    keep = np.ones(len(x), bool)
    for _ in range(4):
        slope, level = np.polyfit(x[keep], y[keep], 1)
        residual = y - level - slope * x
        keep = np.abs(residual) < 4.0 * np.std(residual[keep])
    return float(level), float(slope), np.where(keep, residual, np.nan)


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
def main(source: Path) -> None:
    """Fit and write the table."""
    stored, rows, residuals = np.load(source), [], {}
    for line, name in zip(LINES, published_names(), strict=True):
        ew = stored[f"{name}_ews"].astype(float)
        error = stored[f"{name}_ew_ivars"].astype(float) ** -0.5
        level, slope, residual = fit_line(ew, error)
        spread = float(np.nanstd(residual))
        rows.append(f"{line} = {{ level = {level:.3f}, slope = {slope:.3f}, "
                    f"residual = {spread:.3f} }}\n")  # fmt: skip
        ids = stored[f"{name}_target_ids"]
        residuals[line] = dict(zip(ids.tolist(), (residual / spread).tolist(), strict=True))
    shared = []
    for k, one in enumerate(LINES):
        for other in LINES[k + 1 :]:
            ids = residuals[one].keys() & residuals[other].keys()
            pairs = np.array([[residuals[one][i], residuals[other][i]] for i in ids])
            pairs = pairs[np.isfinite(pairs).all(axis=1)]
            shared.append(np.corrcoef(pairs.T)[0, 1])
    text = f"{HEAD}together = {np.median(shared):.3f}\n\n[lines]\n{''.join(rows)}"
    TARGET.write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()

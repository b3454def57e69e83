"""The one-page report of the demonstration: a single HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import nebulines
from nebulines.demo.summary import Spread, Summary
from nebulines.io.atomic import atomic_path
from nebulines.spectra import Flag

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff;
       max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .4rem; }
p.lead { color: #555; margin: 0 0 1rem; }
img { width: 100%; height: auto; border: 1px solid #ddd; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e4e4e4;
         vertical-align: top; }
td.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
code, pre { font: 13px/1.45 ui-monospace, monospace; background: #f5f5f5; }
pre { padding: .7rem .9rem; overflow-x: auto; }
"""


def write_report(
    path: Path, summary: Summary, *, figure: Path, files: Mapping[str, str], seconds: float
) -> Path:
    """Write the report.

    Args:
        path: of the HTML file.
        summary: key numbers.
        figure: PNG to embed.
        files: name of each product -> what it holds.
        seconds: that the fit took.

    Returns:
        ``path``.
    """
    picture = base64.b64encode(figure.read_bytes()).decode("ascii")
    body = [
        "<h1>The gas in the core of Abell 478</h1>",
        f'<p class="lead">{_lead(summary, seconds)}</p>',
        f'<img alt="Maps and spectra" src="data:image/png;base64,{picture}">',
        "<h2>Key numbers</h2>" + _table(_numbers(summary)),
        "<h2>Quality flags</h2>" + _table(_flags(summary)),
        "<h2>Files</h2>" + _table([(f"<code>{escape(k)}</code>", v) for k, v in files.items()]),
        "<h2>Open them</h2>" + _how_to_open(),
        "<h2>Conventions</h2>" + _conventions(summary),
    ]
    page = (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Abell 478 with nebulines</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _lead(summary: Summary, seconds: float) -> str:
    return (
        f"MUSE cube, {summary.spaxels} spaxels of 0.2″, 4750–9350 Å. {len(summary.lines)} lines "
        f"were fitted in each spaxel at z = {summary.redshift}, with one velocity and one "
        f"velocity dispersion per spaxel, in {seconds:.0f} s, by nebulines "
        f"{escape(nebulines.__version__)}."
    )


def _spread(spread: Spread, digits: int, unit: str = "") -> str:
    p5, p16, median, p84, p95 = (
        f"{x:.{digits}f}".replace("-", "−")
        for x in (spread.p5, spread.p16, spread.median, spread.p84, spread.p95)
    )
    return f"{median}{unit} &nbsp; (16–84 %: {p16} to {p84}; 5–95 %: {p5} to {p95})"


def _numbers(summary: Summary) -> list[tuple[str, str]]:
    return [
        ("Spaxels fitted", f"{summary.fitted} of {summary.spaxels}"),
        ("Hα detected above 3 σ", f"{summary.detected} spaxels"),
        ("Hα detected above 10 σ", f"{summary.clear} spaxels; velocity, dispersion and ratio "
         "below are medians over these"),
        (f"Velocity relative to z = {summary.redshift}", _spread(summary.velocity, 0, " km/s")),
        ("Redshift of the gas", f"{summary.gas_redshift:.5f}"),
        ("Velocity dispersion (1 σ, LSF removed)", _spread(summary.broadening, 0, " km/s")),
        ("[N II] 6583 / Hα", _spread(summary.ratio, 2)),
        ("Reduced χ², all spaxels", _spread(summary.chi2, 2)),
        ("Lines", ", ".join(f"<code>{escape(name)}</code>" for name in summary.lines)),
    ]  # fmt: skip


def _flags(summary: Summary) -> list[tuple[str, str]]:
    rows = [("none", f"{summary.good} spaxels")]
    for name, count in summary.flags.items():
        flag = Flag[name]
        rows.append((f"{name} ({int(flag)})", f"{count} spaxels: {escape(flag.meaning)}"))
    return rows


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = (f'<tr><td class="number">{key}</td><td>{value}</td></tr>' for key, value in rows)
    return "<table>" + "".join(cells) + "</table>"


def _how_to_open() -> str:
    return """<p>In Python:</p><pre>from astropy.io import fits
from astropy.table import Table

maps = fits.open("abell478_MAPS.fits")
maps.info()                                   # every map is a named extension
velocity = maps["HA6562_VEL"].data            # (y, x), km/s
good = maps["MASK"].data == 0                 # the header of MASK explains each bit

table = Table.read("abell478_TABLE.fits")     # one row per spaxel, the same numbers
table[table["snr"] > 30]["y", "x", "velocity", "velocity_err"]</pre>
<p>In a viewer: <code>ds9 -multiframe abell478_MAPS.fits</code>; in Imviz or glue load the same
file. The model cube has extensions <code>FLUX</code>, <code>ERR</code> and <code>MASK</code>,
which Cubeviz loads.</p>"""


def _conventions(summary: Summary) -> str:
    return (
        "<p>Rest wavelengths in air. Optical velocities: λ = λ<sub>0</sub>(1 + z)(1 + v/c) with "
        f"z = {summary.redshift}. The dispersion is the intrinsic Gaussian 1 σ, with the "
        "instrument's line spread removed. Fluxes are integrated over wavelength and not "
        "corrected for extinction. Errors are 1 σ, from the variance in the file; they do not "
        "include the correlation of neighbouring channels that resampling has caused.</p>"
    )

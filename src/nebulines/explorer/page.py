"""One HTML file that needs nothing else: template, styles, scripts and arrays in one."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import InputError
from nebulines.explorer.pack import Packed, unpack
from nebulines.io.atomic import atomic_path

_HERE = Path(__file__).parent
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self'"
)
COLOUR_MAPS = {"viridis": "viridis", "diverging": "RdYlBu_r"}
"""Colour maps of the pages: name there -> name in matplotlib."""


def colour_maps() -> dict[str, np.ndarray]:
    """Red, green and blue (256, 3) uint8 of each map of `COLOUR_MAPS`.

    Example:
        >>> colour_maps()["viridis"].shape
        (256, 3)
    """
    import matplotlib

    shades = np.linspace(0.0, 1.0, 256)
    return {
        name: np.rint(255 * matplotlib.colormaps[source](shades)[:, :3]).astype(np.uint8)
        for name, source in COLOUR_MAPS.items()
    }


def assemble(
    template: str,
    *,
    scripts: Sequence[str],
    texts: Mapping[str, str],
    document: Mapping[str, Any],
    arrays: Mapping[str, Packed],
) -> str:
    """The text of a page.

    Args:
        template: name of the HTML in ``web/``, the body of the page.
        scripts: names of the scripts in ``web/``, in order.
        texts: what stands for ``{{name}}`` in the template; HTML where its name ends in
            ``_html``, else escaped. ``title`` is required.
        document: plain data for the scripts.
        arrays: name -> packed array.

    Raises:
        InputError: the template names a text that is missing.
    """
    body = _filled((_HERE / "web" / template).read_text(encoding="utf-8"), texts)
    data = {**document, "arrays": {name: packed.spec for name, packed in arrays.items()}}
    blocks = [
        f'<script type="application/json" id="document">{_inert(json.dumps(data))}</script>',
        *(
            f'<script type="application/octet-stream" id="array-{name}">{packed.text}</script>'
            for name, packed in arrays.items()
        ),
    ]
    code = "\n".join((_HERE / "web" / name).read_text(encoding="utf-8") for name in scripts)
    plot = (_HERE / "vendor" / "uPlot.iife.min.js").read_text(encoding="utf-8")
    style = (_HERE / "vendor" / "uPlot.min.css").read_text(encoding="utf-8")
    style += (_HERE / "web" / "explorer.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(texts['title'])}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"{body}\n" + "\n".join(blocks) + f"\n<script>{plot}</script>\n"
        f'<script>"use strict";\n(() => {{\n{code}}})();\n</script>\n</body>\n</html>\n'
    )


def _filled(template: str, texts: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1]
        if f"{name}_html" in texts:
            return texts[f"{name}_html"]
        if name not in texts:
            raise InputError(f"the page needs a text {name!r}")
        return html.escape(texts[name])

    return re.sub(r"\{\{(\w+)\}\}", value, template)


def _inert(text: str) -> str:
    """JSON that cannot end the script it stands in."""
    return text.replace("</", "<\\/").replace("<!--", "<\\!--")


def table_html(rows: Mapping[str, str]) -> str:
    """A two-column table."""
    cells = (
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(text)}</td></tr>'
        for name, text in rows.items()
    )
    return f"<table><tbody>{''.join(cells)}</tbody></table>"


def write_page(path: str | PathLike[str], text: str) -> Path:
    """Write a page, whole or not at all.

    Raises:
        UsageError: the folder is missing or read-only.
    """
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return Path(path)


def read_page(path: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The data of a page: the document and its arrays, as the browser decodes them.

    Raises:
        InputError: the file is no page of the explorer.
    """
    text = Path(path).read_text(encoding="utf-8")
    found = dict(
        re.findall(r'<script type="application/[\w-]+" id="([\w-]+)">(.*?)</script>', text)
    )
    if "document" not in found:
        raise InputError(f"{path} is not a page of the explorer: it holds no data")
    document = json.loads(found["document"])
    return document, {
        name: unpack(Packed(spec, found[f"array-{name}"]))
        for name, spec in document["arrays"].items()
    }

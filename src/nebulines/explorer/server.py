"""A small local server for cubes that are too large for one page: it reads one spaxel at a time."""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from nebulines.errors import UsageError
from nebulines.explorer.cube_spectra import CubeSpectra
from nebulines.explorer.maps_page import CubeView, maps_page, served_spectrum
from nebulines.spectra.cube import Block

HOST = "127.0.0.1"
"""Only this machine can reach the server."""


def make_server(view: CubeView, port: int = 0) -> ThreadingHTTPServer:
    """A server of the page and of its spectra; ``serve_forever`` runs it.

    Args:
        view: with spectra.
        port: 0 = any that is free.

    Raises:
        UsageError: the port is taken.
    """
    assert view.spectra is not None
    page = maps_page(view._replace(served=True)).encode()
    handler = _handler(page, view.spectra)
    try:
        return ThreadingHTTPServer((HOST, port), handler)
    except (OSError, OverflowError) as error:
        raise UsageError(f"port {port} cannot be used ({error}): choose another one") from error


def address(server: ThreadingHTTPServer) -> str:
    """Where the page is."""
    return f"http://{HOST}:{server.server_address[1]}/"


def _handler(page: bytes, spectra: CubeSpectra) -> type[BaseHTTPRequestHandler]:
    one_at_a_time = threading.Lock()  # readers of large files share one handle

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/":
                return self._send(page, "text/html; charset=utf-8")
            if parts.path == "/spectrum":
                return self._spectrum(parse_qs(parts.query))
            return self.send_error(HTTPStatus.NOT_FOUND, "there is / and /spectrum?y=..&x=..")

        def _spectrum(self, query: dict[str, list[str]]) -> None:
            try:
                y, x = int(query["y"][0]), int(query["x"][0])
            except (KeyError, ValueError):
                return self.send_error(HTTPStatus.BAD_REQUEST, "expected /spectrum?y=ROW&x=COLUMN")
            ny, nx, _ = spectra.shape
            if not (0 <= y < ny and 0 <= x < nx):
                return self.send_error(
                    HTTPStatus.NOT_FOUND, f"spaxels run to y={ny - 1}, x={nx - 1}"
                )
            with one_at_a_time:
                row = spectra.rows(Block(y, y + 1, x, x + 1))
            return self._send(json.dumps(served_spectrum(row)).encode(), "application/json")

        def _send(self, content: bytes, kind: str) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the terminal belongs to the user."""

    return Handler

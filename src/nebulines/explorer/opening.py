"""Show a page in the user's browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping


def has_screen(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> bool:
    """Whether a browser with windows can open: a text browser would take the terminal.

    Example:
        >>> has_screen({}, "linux"), has_screen({"DISPLAY": ":0"}, "linux")
        (False, True)
    """
    environment = os.environ if environment is None else environment
    if platform in ("darwin", "win32"):
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def show(address: str) -> bool:
    """Open an address; False where no browser could.

    Args:
        address: ``file://`` or ``http://``.
    """
    if not has_screen():
        return False
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False

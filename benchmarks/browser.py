"""A headless Chromium to measure and test pages in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def missing() -> str | None:
    """What is not installed, or None."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return program
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium"
    return None


@contextmanager
def browser(width: int = 1440, height: int = 900, *, dark: bool = False) -> Iterator[Any]:
    """A browser with a profile of its own, closed at the end.

    Args:
        width, height: of the window.
        dark: prefer dark pages.

    Yields:
        The selenium driver; ``driver.get_log("performance")`` lists every request.
    """
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for option in (*_OPTIONS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        driver = webdriver.Chrome(options, Service(str(shutil.which("chromedriver"))))
        try:
            if dark:
                driver.execute_cdp_cmd(
                    "Emulation.setEmulatedMedia",
                    {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
                )
            yield driver
        finally:
            driver.quit()


def wait_until_ready(driver: Any, seconds: float = 30.0) -> float:
    """Milliseconds from the start of the navigation until the page said that it is ready."""
    from selenium.webdriver.support.ui import WebDriverWait

    script = "return document.body && document.body.dataset.ready"
    return float(WebDriverWait(driver, seconds, 0.02).until(lambda d: d.execute_script(script)))

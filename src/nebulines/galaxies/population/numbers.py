"""The numbers of the population of galaxies, from the tables in ``data/``."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any


def table() -> dict[str, Any]:
    """The numbers of the population, ``data/population.toml``.

    Example:
        >>> table()["abundance"]["solar"]
        8.69
    """
    return numbers("population.toml")


def hii_table() -> dict[str, Any]:
    """Line ratios of H II regions, ``data/hii_lines.toml``.

    Example:
        >>> hii_table()["order"]
        4
    """
    return numbers("hii_lines.toml")


@functools.cache
def numbers(name: str) -> dict[str, Any]:
    """A table of ``data/``, read once.

    Example:
        >>> numbers("survey_noise.toml")["step"]
        20.0
    """
    return tomllib.loads((Path(__file__).parent / "data" / name).read_text(encoding="utf-8"))

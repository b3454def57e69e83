"""A part of a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nebulines.errors import InputError, UsageError


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        parts: Markdown.
        numbers: for JSON.
        paths: files that were written.

    Example:
        >>> Section(["## Title"]).paths
        []
    """

    parts: list[str]
    numbers: dict[str, Any] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)


def made(title: str, make: Callable[[Any], Section], plan: Any) -> Section:
    """A section under its title, or the reason why it cannot be made."""
    try:
        section = make(plan)
    except (UsageError, InputError) as error:
        return Section([f"## {title}", f"Not made: {error}"], {"not_made": str(error)})
    return Section([f"## {title}", *section.parts], section.numbers, section.paths)

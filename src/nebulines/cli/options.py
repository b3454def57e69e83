"""Types of options that several commands share."""

from __future__ import annotations

from typing import Any

import click


class RedshiftType(click.ParamType):
    """A number, or the word ``auto``."""

    name = "VALUE|auto"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The number, or ``auto``."""
        if value == "auto" or isinstance(value, float):
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor 'auto'", param, ctx)


class NameList(click.ParamType):
    """Names separated by commas."""

    name = "NAME,NAME,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        """The names; blanks around them do not count."""
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        return names or self.fail("name at least one line", param, ctx)


REDSHIFT = RedshiftType()
NAMES = NameList()

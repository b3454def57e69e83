"""Errors whose message a user can act on: what was expected, what came, what to do."""

from __future__ import annotations


class NebulinesError(Exception):
    """Base class of every error that nebulines raises on purpose (exit status 1)."""


class InputError(NebulinesError):
    """A file or an array cannot be understood (exit status 2)."""


class UsageError(NebulinesError):
    """An option or an argument is wrong (exit status 2)."""

"""Short names of bands, for columns and files that hold several."""

from __future__ import annotations

import re
from collections.abc import Sequence


def band_labels(instruments: Sequence[str | None]) -> tuple[str, ...]:
    """A short name for each of several bands: the end of the instrument's name.

    Args:
        instruments: names of instrument rows; None = unknown.

    Returns:
        Letters and digits only, all different: bands of one name, and unknown ones, are
        numbered.

    Example:
        >>> band_labels(["sitelle-sn2", "sitelle-sn3", "muse", None])
        ('SN2', 'SN3', 'MUSE', 'BAND4')
        >>> band_labels(["muse", "muse"])
        ('MUSE1', 'MUSE2')
    """
    plain = [_label(name) for name in instruments]
    return tuple(
        label if label and plain.count(label) == 1 else f"{label or 'BAND'}{number}"
        for number, label in enumerate(plain, start=1)
    )


def _label(name: str | None) -> str:
    return re.sub(r"[^A-Z0-9]", "", (name or "").rsplit("-", 1)[-1].upper())

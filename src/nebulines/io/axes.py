"""Spectral axes out of headers and arrays: increasing, in Angstrom or cm-1, medium known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from nebulines.errors import InputError
from nebulines.spectral_axis import AxisKind, Medium, SpectralAxis

_AIR = ("air", "a")
_VACUUM = ("vac", "vacuum", "v")


@dataclass(frozen=True)
class FoundAxis:
    """An axis as a file gives it.

    Attributes:
        axis: increasing.
        flip: the file's channels run the other way and must be reversed.
        law: one phrase for `nebulines info`.
        assumed: what the file does not say.
    """

    axis: SpectralAxis
    flip: bool
    law: str
    assumed: tuple[str, ...] = ()

    def ordered(self, block: np.ndarray) -> np.ndarray:
        """An array (..., channel) of the file in the order of ``axis``."""
        return block[..., ::-1] if self.flip else block

    def meta(self) -> dict[str, Any]:
        """What `Spectra.meta` keeps of it."""
        return {"axis": self.law} | ({"assumed": list(self.assumed)} if self.assumed else {})


def medium_of(header: Any) -> Medium | None:
    """``air`` or ``vacuum`` as AIRORVAC, VACUUM or AIR2VAC state it, or None.

    Raises:
        InputError: AIRORVAC has another value.

    Example:
        >>> medium_of({"AIRORVAC": "vac"}), medium_of({"VACUUM": True}), medium_of({})
        ('vacuum', 'vacuum', None)
    """
    stated = header.get("AIRORVAC")
    if isinstance(stated, str) and stated.strip():
        word = stated.strip().lower()
        if word in _AIR:
            return "air"
        if word in _VACUUM:
            return "vacuum"
        raise InputError(f"AIRORVAC must be 'air' or 'vac', not {stated!r}: correct the header")
    vacuum = header.get("VACUUM")
    if isinstance(vacuum, bool | int):
        return "vacuum" if vacuum else "air"
    return None


def axis_from_values(
    values: Any,
    kind: AxisKind,
    medium: Medium,
    *,
    where: str,
    law: str = "",
    assumed: tuple[str, ...] = (),
) -> FoundAxis:
    """An axis from the values of its channels; descending ones are reversed.

    Args:
        values: (channel,) or (n, channel) [Angstrom] or [cm-1].
        kind, medium: see `SpectralAxis`.
        where: name of the file's part, for messages.
        law: phrase for `nebulines info`; spacing and range are found when it is empty.
        assumed: what was taken for granted.

    Raises:
        InputError: values that are not finite, not positive, repeated or not monotonic.

    Example:
        >>> found = axis_from_values([5002.0, 5001.0, 5000.0], "wavelength", "air", where="WAVE")
        >>> found.flip, found.axis.values.tolist(), found.law
        (True, [5000.0, 5001.0, 5002.0], 'linear, stored in descending order')
    """
    values = np.array(values, dtype=float)
    if values.ndim not in (1, 2) or values.shape[-1] < 1:
        raise InputError(f"{where}: a spectral axis has one value a channel, not {values.shape}")
    bad = ~np.isfinite(values) | (values <= 0)
    if bad.any():
        raise InputError(
            f"{where}: {int(bad.sum())} of {values.size} channels have no positive finite "
            f"{kind}: check the unit and the axis keywords"
        )
    steps = np.diff(values, axis=-1)
    flip = bool(steps.size) and bool(np.all(steps < 0))
    if flip:
        values, steps = values[..., ::-1], -steps[..., ::-1]
    if np.any(steps <= 0):
        raise InputError(
            f"{where}: the {kind} of {int(np.sum(steps <= 0))} channels does not increase "
            "(duplicated or out of order): sort the channels and drop duplicates"
        )
    law = law or spacing(values)
    if flip:
        law += ", stored in descending order"
    axis = SpectralAxis(np.ascontiguousarray(values), kind, medium)
    return FoundAxis(axis, flip, law, assumed)


def spacing(values: np.ndarray) -> str:
    """``linear``, ``logarithmic`` or ``irregular``; the first spectrum of a set decides."""
    row = values if values.ndim == 1 else values[0]
    if row.size < 3:
        return "linear"
    for name, steps in (("linear", np.diff(row)), ("logarithmic", np.diff(np.log(row)))):
        if np.ptp(steps) < 0.02 * abs(steps.mean()):
            return name
    return "irregular"


def medium_or_default(stated: Medium | None, default: str | None) -> tuple[Medium, tuple[str, ...]]:
    """The stated medium, else the instrument's, else air; the last two are said.

    Example:
        >>> medium_or_default(None, None)
        ('air', ('medium: the file does not say air or vacuum; air is assumed',))
    """
    if stated is not None:
        return stated, ()
    if default in ("air", "vacuum"):
        note = f"medium: the file does not say air or vacuum; {default} is this instrument's"
        return cast(Medium, default), (note,)
    return "air", ("medium: the file does not say air or vacuum; air is assumed",)

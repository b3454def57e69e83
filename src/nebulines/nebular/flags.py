"""Quality flags of what is derived from line fluxes; 0 is good."""

from __future__ import annotations

from enum import IntFlag


class NebularFlag(IntFlag):
    """Bits of the column ``nebular_quality``.

    Example:
        >>> NebularFlag(6).name
        'MISSING_LINE|NOT_DETECTED'
    """

    NO_HALPHA = 1
    MISSING_LINE = 2
    NOT_DETECTED = 4
    NO_EXTINCTION = 8
    BELOW_CASE_B = 16
    DENSITY_LIMIT = 32
    OUTSIDE_CALIBRATION = 64
    UNLIKE_ANY_CLASS = 128
    POOR_ROW = 256
    TEMPERATURE_LIMIT = 512
    AMBIGUOUS_CLASS = 1024
    NOT_STAR_FORMING = 2048

    @property
    def meaning(self) -> str:
        """One sentence for headers and documentation."""
        return _MEANING[self]


_MEANING = {
    NebularFlag.NO_HALPHA: "H-alpha is missing or not detected: no class is given",
    NebularFlag.MISSING_LINE: "a line is not in the result, or NaN: what needs it is NaN or 0",
    NebularFlag.NOT_DETECTED: "a line is below the detection limit: what needs it is NaN or 0",
    NebularFlag.NO_EXTINCTION: "E(B-V) is not known: line ratios are used without correction",
    NebularFlag.BELOW_CASE_B: "H-alpha / H-beta is more than 3 sigma below case B: E(B-V) < 0",
    NebularFlag.DENSITY_LIMIT: "the doublet is at a limit of its range: the density is a limit",
    NebularFlag.OUTSIDE_CALIBRATION: "the abundance index is outside the range of its calibration",
    NebularFlag.UNLIKE_ANY_CLASS: "line ratios are far from every class: probabilities mean little",
    NebularFlag.POOR_ROW: "the flags of the fit say that the fluxes are not to be trusted",
    NebularFlag.TEMPERATURE_LIMIT: "the auroral line is at a limit of its range: so is the value",
    NebularFlag.AMBIGUOUS_CLASS: "the class is not three times as probable as all others, or a "
    "shock or active nucleus looks star-forming in a BPT diagram",
    NebularFlag.NOT_STAR_FORMING: "the class or a BPT diagram says shock, nucleus or planetary "
    "nebula: abundance and ionisation parameter are calibrated on H II regions",
}


def flag_cards() -> dict[str, str]:
    """Header keywords NBIT0, NBIT1 ... with the meaning of each bit.

    Example:
        >>> flag_cards()["NBIT0"]
        'NO_HALPHA: H-alpha is missing or not detected: no class is given'
    """
    return {f"NBIT{flag.bit_length() - 1}": f"{flag.name}: {flag.meaning}" for flag in NebularFlag}

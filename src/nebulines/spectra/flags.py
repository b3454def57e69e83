"""Quality flags: one bit mask per spectrum, saved with every result; 0 is good."""

from __future__ import annotations

from enum import IntFlag


class Flag(IntFlag):
    """Bits of the ``flags`` column and of the ``MASK`` map.

    Example:
        >>> Flag.describe(5)
        ['NO_DATA', 'AT_BOUND']
    """

    NO_DATA = 1
    LOW_SNR = 2
    AT_BOUND = 4
    NOT_CONVERGED = 8
    POOR_FIT = 16
    LINE_OUTSIDE_BAND = 32
    MASKED_CHANNELS = 64
    OUTLIER_CHANNEL = 128
    SECOND_COMPONENT = 256
    AMBIGUOUS_VELOCITY = 512
    UNRESOLVED = 1024
    BAD_REDSHIFT = 2048
    BAD_VARIANCE = 4096
    OUT_OF_RANGE = 8192
    MISSING_BAND = 16384
    NO_STARLIGHT = 32768
    POOR_STARLIGHT = 65536

    @property
    def meaning(self) -> str:
        """One sentence for headers and documentation."""
        return _MEANING[self]

    @staticmethod
    def describe(bits: int) -> list[str]:
        """Names of the bits set in ``bits``."""
        return [flag.name for flag in Flag if bits & flag and flag.name]


_MEANING = {
    Flag.NO_DATA: "no usable channel or line: nothing was fitted",
    Flag.LOW_SNR: "no line is detected: velocity and broadening are not measured",
    Flag.AT_BOUND: "velocity or broadening ended at the edge of its allowed range",
    Flag.NOT_CONVERGED: "the least-squares iteration had not converged at its last step",
    Flag.POOR_FIT: "reduced chi2 is too large for noise alone",
    Flag.LINE_OUTSIDE_BAND: "a requested line lies outside the usable channels: its values are NaN",
    Flag.MASKED_CHANNELS: "masked or non-finite channels lie under a line",
    Flag.OUTLIER_CHANNEL: "a single channel deviates far more than noise (hot channel, cosmic ray)",
    Flag.SECOND_COMPONENT: "residuals under the lines ask for another velocity component",
    Flag.AMBIGUOUS_VELOCITY: "another velocity fits nearly as well",
    Flag.UNRESOLVED: "broadening is consistent with zero: its value is an upper limit",
    Flag.BAD_REDSHIFT: "the redshift is missing, not finite or not usable, or the spectrum "
    "speaks for another",
    Flag.BAD_VARIANCE: "zero, negative or non-finite variances were left out",
    Flag.OUT_OF_RANGE: "outside the ranges that were asked for or that the network was trained on",
    Flag.MISSING_BAND: "a band of several has no usable data here: the others were fitted",
    Flag.NO_STARLIGHT: "no starlight to fit (too few channels, no positive continuum): lines lie "
    "above a polynomial, or a line has no continuum for an equivalent width",
    Flag.POOR_STARLIGHT: "the starlight does not describe the continuum: wrong redshift, sky "
    "residuals, or a spectrum unlike the templates",
}

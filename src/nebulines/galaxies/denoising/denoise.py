"""The verb ``denoise``: noisy spectra of galaxies in, the posterior of the clean ones out."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.denoising.axis import to_bins, to_channels
from nebulines.galaxies.denoising.baselines import denoise_plainly
from nebulines.galaxies.denoising.denoised import Denoised
from nebulines.galaxies.denoising.engine import denoise_bins
from nebulines.networks.denoise.network import POPULATION, WIDE, Denoise
from nebulines.spectra import Cube, Flag, Spectra

PRIORS = {"wide": WIDE, "population": POPULATION}
NETWORKS = {"wide": "denoise-wide", "population": "denoise"}
"""The network that is meant for a prior."""
_HIGHEST_REDSHIFT = 20.0


def denoise(
    spectra: Any,
    *,
    redshift: Any = None,
    draws: int = 0,
    network: str | None = None,
    seed: int = 0,
    prior: str | None = None,
) -> Denoised:
    """De-noise spectra of galaxies.

    Args:
        spectra: `Spectra` or a `Cube`, observed or rest frame, air or vacuum; channels of at most
            830 km/s. Variances are used as they are; without them the noise is estimated.
        redshift: a number or (n,), for spectra that do not know theirs; 0 = rest frame.
        draws: posterior draws to keep (memory: draws times the input).
        network: name or path of a network; None = that of the prior.
        seed: of the draws.
        prior: ``population``, galaxies as `nebulines.simulate` makes them; ``wide``, lines of
            stronger, weaker and other ratios too. What the spectrum does not say comes from it.
            None = ``wide``, or what the given network is meant for.

    Returns:
        `Denoised`. Spectra that the gate refuses (residuals, lines or shapes that the network
        never met) hold a least-squares fit in its basis and POOR_FIT or OUT_OF_RANGE; rows that
        speak for another redshift keep their answer and hold BAD_REDSHIFT; rows without an answer
        are NaN with NO_DATA, LOW_SNR or BAD_REDSHIFT.

    Raises:
        UsageError: no redshift, impossible options, an unknown network, a prior that it does not
            know.
        InputError: channels too wide, or spectra that miss the network's range altogether.

    Source: the task: Scourfield et al. 2023, MNRAS 526, 3037.

    Example:
        >>> from nebulines.networks.denoise.grid import bin_centres
        >>> from nebulines.spectral_axis import SpectralAxis
        >>> wave = bin_centres()
        >>> flux = np.random.default_rng(0).normal(1.0, 0.3, (2, len(wave)))
        >>> spectra = Spectra(flux, SpectralAxis(wave, "wavelength", "air"), 0.09 + 0 * flux)
        >>> clean = denoise(spectra, redshift=0.0, draws=3)
        >>> clean.flux.shape, clean.err.shape, clean.draws.shape
        ((2, 825), (2, 825), (3, 2, 825))
    """
    from nebulines.networks.weights import load

    if draws < 0:
        raise UsageError(f"draws cannot be negative, got {draws}")
    if isinstance(spectra, Cube):
        spectra = spectra[:, :]
    if not isinstance(spectra, Spectra):
        raise UsageError(
            f"denoise takes Spectra or a Cube as nebulines.read gives them, not "
            f"{type(spectra).__name__}"
        )
    if prior is not None and prior not in PRIORS:
        raise UsageError(f"prior is one of {', '.join(PRIORS)}, not {prior!r}")
    found, card = load(network or NETWORKS[prior or "wide"])
    z = redshifts(spectra, redshift)
    usable = np.isfinite(z) & (z > -1.0) & (z < _HIGHEST_REDSHIFT)
    binned = to_bins(spectra, np.where(usable, z, 0.0))
    if not (binned.weight > 0).any():
        raise InputError(_nothing_inside(spectra, z))
    weight = np.where(usable[:, None], binned.weight, 0.0)
    if not isinstance(found, Denoise):
        return denoise_plainly(found, card, spectra, z, binned._replace(weight=weight), draws)
    options: dict[str, Any] = {"draws": draws, "seed": seed, "prior": _prior(prior, card)}
    clean = denoise_bins(found, binned.flux, weight, **options)
    flags = clean.gate.flags | np.where(binned.bad_variance, int(Flag.BAD_VARIANCE), 0)
    flags = flags | np.where(usable, 0, int(Flag.BAD_REDSHIFT))
    safe, unit = np.where(usable, z, 0.0), binned.unit.astype(np.float32)

    def shown(values: np.ndarray) -> np.ndarray:
        return to_channels(values * unit[:, None], spectra, safe)

    sample = None
    if clean.draws is not None:
        vectors = np.asarray(found.basis.vectors)
        sample = np.stack([shown(rows @ vectors) for rows in clean.draws])
    clean_flux, error = shown(np.stack([clean.flux, clean.error]))
    return Denoised(
        clean_flux,
        error,
        flags,
        sample,
        spectra,
        z,
        clean,
        card,
        found.basis,
        unit,
    )


def _prior(name: str | None, card: dict[str, Any]) -> float:
    """The prior of that name, None = the one that the network of a card is meant for."""
    known = card.get("priors", list(PRIORS))
    if name is not None and name not in known:
        raise UsageError(
            f"{card.get('name', 'the network')} was trained for the prior {' and '.join(known)}, "
            f"not {name!r}: choose {NETWORKS[name]}"
        )
    return PRIORS[name or known[0]]


def redshifts(spectra: Spectra, given: Any) -> np.ndarray:
    """Redshift (n,) of each spectrum: the given one, else the file's.

    Raises:
        UsageError: there is none, or not one a spectrum.
    """
    value = spectra.redshift if given is None else given
    if value is None:
        raise UsageError(
            "the spectra give no redshift: say --redshift Z (redshift=Z), 0 for the rest frame"
        )
    z = np.asarray(value, float)
    if z.ndim > 1 or (z.ndim == 1 and len(z) not in (1, len(spectra))):
        raise UsageError(f"{z.size} redshifts for {len(spectra)} spectra: give one, or one each")
    return np.broadcast_to(z, (len(spectra),)).copy()


def _nothing_inside(spectra: Spectra, redshift: np.ndarray) -> str:
    low, high = spectra.axis.wavelength_range()
    z = redshift[np.isfinite(redshift)]
    shown = f"{z.min():.4g}" if len(z) else "unknown"
    return (
        f"no usable channel lies in 3700 to 7900 Angstrom (rest frame): the spectra reach from "
        f"{low:.5g} to {high:.5g} Angstrom at redshift {shown}; check the redshift, "
        "the axis (Angstrom), and that channels have fluxes, errors above zero and no mask"
    )

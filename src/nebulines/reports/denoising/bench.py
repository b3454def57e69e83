"""What every section of the report on de-noising works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.evaluation.denoising import Bound, bayes_bound
from nebulines.galaxies.denoising.scores import mean_of, white_posterior
from nebulines.galaxies.denoising.tasks import PAPER_NOISE, PAPER_SIZES, noise_added
from nebulines.galaxies.denoising.training_sets import LIBRARY, TEST, TRAINING, CleanSet, clean_set
from nebulines.networks.denoise.pca import fit_pca
from nebulines.networks.weights import FOLDER, Pretrained, load
from nebulines.training.denoise.paper import LATENT, LAYERS, Pairs

AUTOENCODERS = tuple(f"{kind}-{latent}" for kind in LAYERS for latent in LATENT)
"""The paper's networks but PCA."""


def autoencoders(folder: Path | None = None) -> dict[str, Pretrained]:
    """Those of `AUTOENCODERS` that lie in a folder; None = that of the package.

    Example:
        >>> sorted(autoencoders()) == sorted(AUTOENCODERS)
        True
    """
    paths = {name: (folder or FOLDER) / f"{name}.safetensors" for name in AUTOENCODERS}
    return {name: load(str(path)) for name, path in paths.items() if path.is_file()}


@dataclass(frozen=True)
class Bench:
    """What every section works on.

    Attributes:
        folder: of the report.
        seed: of the test set; that of the training is another.
        network: `Denoise` for the prior ``population``; ``ours`` is its card.
        wide: that for the prior ``wide``, for galaxies unlike those of the population.
        pairs: the paper's test set with its noise, and ``test`` the same galaxies.
        training: the paper's training set with noise.
        library: galaxies of the Bayes bound.
        models: networks of the paper by name (``pca-4``, ``vae-6`` ...).
        spectra: folder of real spectra, or None.
        cards: those of the autoencoders.
    """

    folder: Path
    seed: int
    network: Any
    ours: dict[str, Any]
    wide: Any
    pairs: Pairs
    test: CleanSet
    training: Pairs
    library: CleanSet
    models: dict[str, Any]
    spectra: Path | None = None
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        folder: Path,
        *,
        seed: int = 1,
        quick: bool = False,
        n: int | None = None,
        weights: Path | None = None,
        spectra: Path | None = None,
        network: str = "denoise",
    ) -> Bench:
        """Draw the sets and collect the networks.

        Args:
            folder: of the report.
            seed: of the galaxies that judge.
            quick: half of the test set and two fifths of the library.
            n: galaxies of the test set, in place of the usual number.
            weights: folder with ``vae-6.safetensors`` and so on; None = that of the package.
            spectra: folder of real spectra.
            network: name or path of ours.
        """
        ours, card = load(network)
        n_test, n_library = (1000, 20_000) if quick else (PAPER_SIZES[2], 50_000)
        test = clean_set(n or n_test, seed, TEST)
        drawn = clean_set(PAPER_SIZES[0], 0, TRAINING)
        training = noise_added(drawn.spectra, [0, TRAINING, 7])
        models: dict[str, Any] = {
            f"pca-{latent}": fit_pca(training.noisy, latent) for latent in LATENT
        }
        pairs = noise_added(test.spectra, [seed, TEST, 7])
        library = clean_set(n_library, seed, LIBRARY)
        found = autoencoders(weights)
        models |= {name: autoencoder.network for name, autoencoder in found.items()}
        cards = {name: autoencoder.card for name, autoencoder in found.items()}
        wide = load("denoise-wide").network
        return cls(folder, seed, ours, card, wide, pairs, test, training, library, models,
                   spectra, cards)  # fmt: skip

    @cached_property
    def bound(self) -> Bound:
        """What the library says of the test set."""
        return bayes_bound(self.pairs.noisy, PAPER_NOISE, self.library)

    @cached_property
    def reconstructed(self) -> dict[str, np.ndarray]:
        """De-noised test spectra (n, 825) of every method."""
        import jax.numpy as jnp

        noise = jnp.asarray(self.pairs.noisy)
        found = {name: np.asarray(model(noise)) for name, model in self.models.items()}
        posterior = white_posterior(self.network, self.pairs.noisy, PAPER_NOISE)
        found["ours"] = mean_of(self.network, posterior)
        return found | {"bound": self.bound.mean, "noisy": np.asarray(self.pairs.noisy)}

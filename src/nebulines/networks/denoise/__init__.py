"""Networks that de-noise spectra of galaxies: ``denoise``, and the paper's baselines."""

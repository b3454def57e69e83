"""``nebulines reproduce denoising``: Scourfield et al. 2023, ours beside theirs."""

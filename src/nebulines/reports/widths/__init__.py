"""``nebulines reproduce lines-from-continuum``: Khederlarian et al. 2024, ours beside theirs."""

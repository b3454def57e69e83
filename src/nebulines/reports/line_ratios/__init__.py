"""``nebulines reproduce line-ratios``: Rhea et al. 2021, ours beside theirs."""

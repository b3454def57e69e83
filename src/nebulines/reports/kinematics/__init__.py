"""``nebulines reproduce kinematics``: Rhea et al. 2020, ours beside theirs."""

"""What the networks measure: kinematics, alone or as the start of a fit; fluxes; ratios."""

"""Training of the networks of line ratios."""

"""Training of the networks that de-noise: the posterior, and the paper's autoencoders."""

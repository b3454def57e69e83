"""Training of the networks of kinematics."""

"""The network ``kinematics``: velocity and broadening of any set of lines, as a posterior."""

"""A second velocity component: where it may be, its fit, whether it is adopted."""

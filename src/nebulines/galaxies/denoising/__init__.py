"""The clean spectrum behind a noisy one."""

"""Several bands of the same objects, fitted at once: one velocity and broadening, all lines."""

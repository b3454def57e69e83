"""Equivalent widths from starlight, and lines painted on continua."""

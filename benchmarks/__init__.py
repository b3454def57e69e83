"""Accuracy and speed of nebulines, measured: ``python -m benchmarks.all`` from the repository."""

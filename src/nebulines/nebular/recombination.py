"""Ratios of hydrogen recombination lines (`nebulines.lines.recombination`), and the room's data."""

from __future__ import annotations

from pathlib import Path

from nebulines.lines.recombination import balmer_lines, case_b_ratio

__all__ = ["DATA", "balmer_lines", "case_b_ratio"]

DATA = Path(__file__).parent / "data"

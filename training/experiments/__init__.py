"""Experiments: arms x points x seeds from a grid file, trained, scored, compared and drawn."""

from training.experiments.grid import grid_names

__all__ = ["grid_names"]

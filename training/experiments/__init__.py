"""Experiments: arms x points x seeds from a grid file, trained, scored, compared and drawn."""

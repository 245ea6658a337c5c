"""Hand-crafted pseudo-labels: HOG and the drawing of it."""

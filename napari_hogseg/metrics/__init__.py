"""Confusion and boundary metrics, each with its definition in its name."""

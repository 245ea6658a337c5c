"""A trained model applied to frames."""

"""A generated surgical clip with masks, its generator and a small trained model."""

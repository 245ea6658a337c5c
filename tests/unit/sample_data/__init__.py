"""Tests of the sample clip and its generator."""

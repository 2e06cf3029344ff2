"""Datasets for training, and the tools that make them."""

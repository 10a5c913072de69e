"""Slow and plain second opinions that tests compare the product with."""

"""Judges every attempt of a batch by its contract, releases rows that pass, sets the others aside with reasons."""

"""Judges every attempt of a batch by its contract, releases the rows that pass and sets the others aside with every reason."""

"""The demonstration's input: where it comes from, how it is broken, and what is true."""

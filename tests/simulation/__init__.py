"""The real services and runtime on simulated ports, under one seed, in one thread."""

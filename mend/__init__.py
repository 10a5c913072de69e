"""The command line and the one-process runtime: the only package that may import every service."""

"""What is particular to single adapters."""

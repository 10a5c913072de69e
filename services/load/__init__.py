"""Load: released rows into the warehouse, exactly once, and out again when asked."""

"""What every adapter of a port must do: one suite a port, subclassed by each adapter."""

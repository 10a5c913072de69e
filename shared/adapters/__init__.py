"""Everything that names a vendor or a driver."""

"""Everything that must hold, written as tests."""

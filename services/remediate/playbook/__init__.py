"""The remedies, one a module."""

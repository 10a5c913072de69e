"""Classify: one incident per fingerprint, with a diagnosis from evidence."""

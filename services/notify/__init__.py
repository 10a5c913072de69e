"""Notify: tells people once what they need to know, and what to type."""

"""Tests of remediate."""

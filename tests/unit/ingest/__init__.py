"""Tests of the ingest service's modules."""

"""Adapters for one machine: SQLite, DuckDB and the file system."""

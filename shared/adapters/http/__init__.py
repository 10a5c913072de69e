"""Adapters for services that are spoken to over HTTP."""

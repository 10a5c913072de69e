"""Adapters that speak OpenTelemetry's protocol."""

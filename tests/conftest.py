"""Settings that hold for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail: neither an example's time nor that of making one is judged.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

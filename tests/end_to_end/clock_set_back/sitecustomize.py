"""Loaded by Python itself before a command that finds this folder on its path: its wall clock is set back."""

import os
import time

_BACK = int(os.environ["CLOCK_SET_BACK_SECONDS"])
_SECONDS, _NANOSECONDS = time.time, time.time_ns


def _time() -> float:
    return _SECONDS() - _BACK


def _time_ns() -> int:
    return _NANOSECONDS() - _BACK * 1_000_000_000


# What the product asks (shared/adapters/local/clock.py); monotonic time goes on, as it does on a real machine.
time.time, time.time_ns = _time, _time_ns

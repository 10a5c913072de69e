"""Names the process that holds a lease, so that another one can tell when it has died."""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path


def this_process() -> str:
    """Host, process number and start time of this process; a forked child is another process."""
    return _named(os.getpid())


@lru_cache(maxsize=4)
def _named(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{_started(pid)}"


def is_dead(holder: str) -> bool:
    """True when the holder was a process of this machine and is no more; False when that cannot be told."""
    host, pid, started = holder.rsplit(":", 2)
    if holder == this_process() or host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    now_started = _started(int(pid))
    return bool(started and now_started) and started != now_started  # the number was given to another process


def _started(pid: int) -> str:
    """Start time in clock ticks since the machine's start; "" where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else "ended" if fields else ""

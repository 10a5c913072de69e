"""Runs the installed ``mend`` as its users do: in a process of its own, with what it said and what memory it took."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

MEND = Path(sys.executable).with_name("mend")
SECONDS_MAX = 120.0
_ABORT_SECONDS = 10.0  # to write down where its threads are


class Ended(NamedTuple):
    """How a command ended."""

    code: int  # negative: the signal that ended it
    out: str
    err: str
    seconds: float
    peak_mb: float

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def said(self) -> str:
        """All that a person would see, for assertions about messages."""
        return self.out + self.err


class Running:
    """A command under way."""

    def __init__(
        self, *arguments: object, cwd: Path, environment: Mapping[str, str] | None = None, before: tuple[str, ...] = ()
    ) -> None:
        # Files, not pipes: a killed process cannot block on them, and nobody has to read while it runs.
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the end is collected
        self._err = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the end is collected
        self._started = time.monotonic()
        self._peak_mb = 0.0
        self._process = subprocess.Popen(
            [*before, str(MEND), *(str(argument) for argument in arguments)],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONFAULTHANDLER": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
        )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended (without collecting it)."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self) -> None:
        """End it as a power failure would."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds_max: float = SECONDS_MAX) -> Ended:
        """Its end; one that takes too long is killed and fails the test, which says where each of its threads was and
        how long it had a processor: a busy machine gives it little, one that hangs wants little."""
        late = "" if until(self._looked_after, seconds_max) else self._processor()
        if late:
            os.kill(self.pid, signal.SIGABRT)
            until(lambda: self.ended, _ABORT_SECONDS)
            self.kill()
        self._process.wait()
        seconds = time.monotonic() - self._started
        out, err = (self._text(file) for file in (self._out, self._err))
        assert not late, f"still running after {seconds:.0f} s, {late}\n{out}\n{err}"
        return Ended(self._process.returncode, out, err, seconds, self._peak_mb)

    def _looked_after(self) -> bool:
        """Whether it has ended; notes its memory. (What the system says afterwards includes ours from the fork.)"""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return self.ended
        peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        self._peak_mb = max(self._peak_mb, *(int(peak) / 1024 for peak in peaks), 0.0)
        return self.ended

    def _processor(self) -> str:
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return "without a word about its processor"
        used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return f"of which a processor was its own for {used:.1f} s (state {fields[0]}, load {os.getloadavg()[0]:.1f})"

    @staticmethod
    def _text(file: Any) -> str:
        with file:
            file.seek(0)
            return str(file.read().decode("utf-8", "replace"))


def until(condition: Callable[[], bool], seconds_max: float, pause: float = 0.005) -> bool:
    """Wait until the condition holds; whether it did in time."""
    end = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


def mend(
    *arguments: object,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    seconds_max: float = SECONDS_MAX,
    before: tuple[str, ...] = (),
) -> Ended:
    """Run a command to its end; ``before`` is a command that runs it."""
    return Running(*arguments, cwd=cwd, environment=environment, before=before).wait(seconds_max)

# mypy: ignore-errors
"""Runs cases of one file in the interpreter of an environment of their own, and writes what each failed with.

Started as a script: `python python_worker.py REQUEST.json OUT.jsonl`. Knows nothing of the project, so that any
environment can run it. A case that raises is reported by its exception; one that only complains, by what it printed.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
import zlib
from pathlib import Path
from typing import Any

SECONDS_MAX = 40


class TookTooLong(BaseException):
    """The case did not end."""


def _alarm(_number: int, _frame: object) -> None:
    raise TookTooLong


def limit(megabytes: int) -> None:
    """Let this process have no more memory than that."""
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))


def files(number: int) -> None:
    """Let this process open no more files than that."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


def nobody() -> None:
    """Go on as a user without rights."""
    os.setgid(65534)
    os.setuid(65534)


def names(request: dict[str, Any]) -> dict[str, Any]:
    """What a case finds ready: addresses of servers, places, and limits."""
    folder = tempfile.mkdtemp(prefix="case-")
    Path(folder).chmod(0o777)
    return {
        **request.get("addresses", {}), "tmp": folder, "limit": limit, "files": files, "nobody": nobody, "os": os,
        "sys": sys, "subprocess": subprocess, "full": request.get("full", "/dev"), "__name__": "__main__",
    }  # fmt: skip


def told(error: BaseException, case: str) -> str:
    """The exception as a log shows it: its last line, its traceback, or its text alone, by the case's own hash."""
    chance = zlib.crc32(case.encode()) % 100
    last = "".join(traceback.format_exception_only(type(error), error)).strip()
    if chance < 28:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        text = "".join(lines).replace(__file__, "job.py").replace('"<string>"', '"job.py"')
        return text[-2500:] if len(text) > 2500 else text
    return str(error) if chance > 85 and len(str(error).split()) > 4 else last


def run(case: str, space: dict[str, Any]) -> str:
    """What the case failed with, or "" when it did not."""
    held, sys.stderr, out = sys.stderr, io.StringIO(), io.StringIO()
    printed, sys.stdout = sys.stdout, out
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(SECONDS_MAX)
    try:
        exec(compile(case, "job.py", "exec"), space)
        message = sys.stderr.getvalue().strip() or out.getvalue().strip()
    except TookTooLong:
        message = ""
    except SystemExit as error:
        message = sys.stderr.getvalue().strip() or out.getvalue().strip() or str(error)
    except BaseException as error:  # whatever a case raises is what it was made for
        message = told(error, case)
    finally:
        signal.alarm(0)
        sys.stderr, sys.stdout = held, printed
    return message


def forked(case: str, space: dict[str, Any]) -> str:
    """The case in a child, so that what it limits or breaks stays there; also what the child's libraries print."""
    shown = tempfile.TemporaryFile()
    result = tempfile.NamedTemporaryFile(delete=False)
    pid = os.fork()
    if pid == 0:
        os.fchmod(result.fileno(), 0o666)
        os.dup2(shown.fileno(), 2)
        message = run(case, space)
        os.write(result.fileno(), message.encode("utf-8", "replace"))
        os._exit(0)
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(SECONDS_MAX + 10)
    try:
        os.waitpid(pid, 0)
    except TookTooLong:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    signal.alarm(0)
    message = Path(result.name).read_bytes().decode("utf-8", "replace")
    Path(result.name).unlink()
    if not message:
        shown.seek(0)
        message = shown.read().decode("utf-8", "replace").strip()[-2000:]
    return message


def main() -> None:
    """Run the cases of the request."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    space = names(request)
    exec(compile(request["setup"], "setup", "exec"), space)
    judge = run if request.get("mode") == "inline" else forked
    with Path(sys.argv[2]).open("a", encoding="utf-8") as out:
        for each in request["cases"]:
            message = judge(each["case"], dict(space))
            out.write(json.dumps({**each, "message": message}) + "\n")
            out.flush()
    if request.get("mode") == "inline":
        os._exit(0)


main()

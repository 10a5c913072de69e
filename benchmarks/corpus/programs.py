"""Cases that are programs of their own: shell lines, Node.js scripts, Java; what they print is the message."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.corpus.cases import CaseFile

_SECONDS_MAX = 25
_CHARACTERS_MAX = 2_000


def run(file: CaseFile, runner: str, envs: Path, addresses: dict[str, Any], full: Path) -> Iterator[dict[str, str]]:
    """Each case with what it printed."""
    texts = {name: str(value) for name, value in addresses.items() if isinstance(value, str)}
    ports = {f"PORT_{name}": str(port) for name, port in addresses.get("PORTS", {}).items()}
    path = f"{envs.resolve()}/env-{file.heads.get('env', 'base')}/bin:{os.environ.get('PATH', '')}"
    environment = {**os.environ, **texts, **ports, "PATH": path, "FULL": str(full), "LANG": "C.UTF-8"}
    environment["NODE_PATH"] = str(envs.resolve() / "node" / "node_modules")
    if runner == "java":
        yield from _java(file, environment)
        return
    for each in file.cases:
        with tempfile.TemporaryDirectory(prefix="case-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o777)
            script = f"{file.setup}\n{each.case}"
            command = ["bash", "-c", script] if runner == "shell" else ["node", "-e", script]
            message = _printed(command, folder, environment)
        yield {"case": each.case, "label": each.label, "system": each.system, "message": message}


def _printed(command: list[str], folder: str, environment: dict[str, str]) -> str:
    """What the program complained of, or said; "" when it ended well and complained of nothing."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    text = err.decode("utf-8", "replace").strip() or out.decode("utf-8", "replace").strip()
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    text = "\n".join(lines).replace(f"{folder}/", "").replace("bash: line 1: ", "run.sh: line 1: ")
    return text if len(text) <= _CHARACTERS_MAX else text[:_CHARACTERS_MAX]


_CLASS = """
import java.io.*; import java.net.*; import java.nio.file.*; import java.nio.charset.*; import java.sql.*;
import java.time.*; import java.time.format.*; import java.util.*; import java.util.concurrent.*;
import java.util.zip.*;
import java.math.*; import java.util.jar.*; import java.nio.*; import java.nio.channels.*; import java.security.*;
public class Job {
  interface Step { Object run() throws Throwable; }
  static final List<Step> steps = new ArrayList<>();
%s
  public static void main(String[] given) {
    %s
    try { steps.get(Integer.parseInt(given[0])).run(); } catch (Throwable error) { error.printStackTrace(); }
    System.exit(0);
  }
}
"""


def _java(file: CaseFile, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    steps = "\n".join(
        f"steps.add(() -> {{ if (args() == 1) {{ {each.case} }}\nreturn null; }});" for each in file.cases
    )
    with tempfile.TemporaryDirectory(prefix="case-", ignore_cleanup_errors=True) as folder:
        Path(folder, "Job.java").write_text(_CLASS % (file.setup, steps))
        built = subprocess.run(["javac", "Job.java"], cwd=folder, capture_output=True, text=True, check=False)
        if built.returncode:
            raise ValueError(built.stderr)
        for number, each in enumerate(file.cases):
            flags = ["-Xmx64m", "-XX:MaxMetaspaceSize=40m", "-XX:MaxDirectMemorySize=8m"]
            message = _printed(["java", *flags, "Job", str(number)], folder, environment)
            yield {"case": each.case, "label": each.label, "system": each.system, "message": message}


def written(file: CaseFile) -> Iterator[dict[str, str]]:
    """Messages that stand in the case file themselves, in the formats that systems document."""
    for each in file.cases:
        yield {"case": "", "label": each.label, "system": each.system, "message": each.case}

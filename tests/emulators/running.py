"""Starts the four emulators on free ports, waits until each answers, and stops them."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.emulators.sdk import home, java_emulator, python_emulator

READY_SECONDS_MAX = 90
PROJECT = "mend-test"
PUBSUB = ("pubsub-emulator", "lib/*.jar", "com.google.cloud.pubsub.testing.v1.Main")
FIRESTORE = (
    *("cloud-firestore-emulator", "*.jar"),
    "com.google.cloud.datastore.emulator.firestore.CloudFirestore",
)


class Emulators(NamedTuple):
    """Where each emulator listens; ``buckets`` is the folder in which Cloud Storage keeps its objects as files."""

    pubsub: str
    firestore: str
    bigquery: str
    storage: str
    buckets: Path

    def environment(self) -> dict[str, str]:
        """The variables by which Google's clients find the emulators."""
        return {
            "PUBSUB_EMULATOR_HOST": self.pubsub,
            "FIRESTORE_EMULATOR_HOST": self.firestore,
            "BIGQUERY_EMULATOR_HOST": f"http://{self.bigquery}",
            "STORAGE_EMULATOR_HOST": f"http://{self.storage}",
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }


class _Command(NamedTuple):
    name: str
    address: str
    words: list[str]
    environment: dict[str, str]


@contextlib.contextmanager
def running() -> Iterator[Emulators]:
    """The four emulators, for as long as the context lasts."""
    folder = Path(tempfile.mkdtemp(prefix="mend-emulators-"))
    (folder / "buckets").mkdir()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        commands = _commands(folder)
        for command in commands:
            processes.append(_start(command, folder))
        for command, process in zip(commands, processes, strict=True):
            _wait_until_it_answers(command.name, command.address, process, folder / f"{command.name}.log")
        yield Emulators(*(command.address for command in commands), buckets=folder / "buckets")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _commands(folder: Path) -> list[_Command]:
    """How each is started, in the order of the fields of ``Emulators``."""
    pubsub, firestore, bigquery, storage = free_ports(4)
    here = "--host=127.0.0.1"
    quiet = {"PATH": os.environ["PATH"], "HOME": str(home())}
    # The BigQuery emulator reads gs://bucket/name from a folder; the Cloud Storage emulator's own folder is just that.
    loading = {**quiet, "BQEMU_GCS_LOCAL_ROOT": str(folder / "buckets")}
    stored = {**quiet, "STORAGE_BASE": str(folder), "STORAGE_DIR": "buckets"}
    bigquery_ports = ["--rest-port", str(bigquery), "--grpc-port", "0"]
    words = {
        "pubsub": (pubsub, [*java_emulator(*PUBSUB), here, f"--port={pubsub}"], quiet),
        "firestore": (firestore, [*java_emulator(*FIRESTORE), "start", here, f"--port={firestore}"], quiet),
        "bigquery": (
            bigquery,
            [python_emulator("bqemulator"), "start", *bigquery_ports, "--project", PROJECT, "--log-level", "error"],
            loading,
        ),
        "storage": (
            storage,
            [python_emulator("gcp-storage-emulator"), "start", here, f"--port={storage}", "-q"],
            stored,
        ),
    }
    return [_Command(name, f"127.0.0.1:{port}", each, how) for name, (port, each, how) in words.items()]


def _start(command: _Command, folder: Path) -> "subprocess.Popen[bytes]":
    with (folder / f"{command.name}.log").open("wb") as log:
        # A session of its own: Ctrl-C in a terminal is for whoever started them, who stops them in order.
        return subprocess.Popen(
            [*mortal(), *command.words],
            env=command.environment,
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def mortal() -> list[str]:
    """What makes a program end with the one that started it, even when that one is killed; nothing where it lacks."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _wait_until_it_answers(name: str, address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the {name} emulator ended: {log.read_text()[-2_000:]}")
        try:
            urllib.request.urlopen(f"http://{address}/", timeout=2).close()
            return
        except urllib.error.HTTPError:
            return  # it answers, if only that it has nothing there
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the {name} emulator did not answer within {READY_SECONDS_MAX} s: {log.read_text()[-2_000:]}")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those from which the system takes its own, so that nobody does later."""
    found: list[int] = []
    start = 10_000 + os.getpid() * 97 % 15_000
    for port in range(start, 32_000):
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")

"""A gcloud on the PATH that is the real one without its second of start: it is loaded once, and each command forks.

What is deployed is made by hundreds of commands, and each would start Python and read the SDK's modules by itself.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SERVER: Final = Path(__file__).with_name("gcloud_server.py")
LOADED: Final = (
    *(f"pubsub.{kind}.{verb}" for kind in ("topics", "subscriptions", "schemas") for verb in ("create", "describe")),
    *("pubsub.schemas.commit", "pubsub.topics.list", "pubsub.subscriptions.list", "projects.describe"),
    *("projects.get-iam-policy", "services.list", "run.services.list", "run.regions.list", "logging.read"),
    *("firestore.databases.describe", "storage.buckets.get-iam-policy"),
)
_CLIENT: Final = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({place!r})
    asked = dict(words=sys.argv[1:], folder=os.getcwd(), environment=dict(os.environ))
    socket.send_fds(server, [json.dumps(asked).encode()], [0, 1, 2])
    sys.exit(int(server.recv(16) or b"1"))
"""


@contextlib.contextmanager
def quick_gcloud(folder: Path) -> Iterator[Path]:
    """The folder to put first on the PATH, for as long as the context lasts."""
    told = subprocess.run(
        ["gcloud", "info", "--format=value(installation.sdk_root,basic.python_location)"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.split()  # fmt: skip
    root, python = told
    place = str(folder / "socket")
    client = folder / "bin" / "gcloud"
    client.parent.mkdir()
    client.write_text(_CLIENT.format(python=sys.executable, place=place))
    client.chmod(0o755)
    alone = {"PATH": os.environ["PATH"], "HOME": str(folder), "CLOUDSDK_CONFIG": str(folder / "config")}
    words = [python, "-S", str(SERVER), root, place, *LOADED]
    with subprocess.Popen(words, env=alone, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n", "gcloud's modules are not where they were"
            yield client.parent
        finally:
            server.terminate()

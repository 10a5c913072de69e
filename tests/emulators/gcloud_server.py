"""The real gcloud, loaded once: each command runs in a fork of this process. Started by gcloud's own Python.

Arguments: the SDK's folder, the socket to listen on, the commands to load beforehand, as ``pubsub.topics.list``.
A caller sends its three standard streams with its words, folder and environment, and hears the exit code.
"""

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import signal
import socket
import sys
from pathlib import Path

STREAMS = 3
BYTES_MAX = 1 << 20
# What every command that asks a service imports late, one after the other.
LATE = (
    "apitools.base.py.base_api",
    "google.auth.transport.requests",
    "google.oauth2.service_account",
    "googlecloudsdk.core.credentials.transports",
    "googlecloudsdk.core.requests",
    "googlecloudsdk.generated_clients.apis.pubsub.v1.pubsub_v1_client",
    "proto",
)


def load(root: Path) -> object:
    """gcloud's own launcher, as a module: it puts the SDK's libraries in their places."""
    spec = importlib.util.spec_from_file_location("gcloud", root / "lib" / "gcloud.py")
    launcher = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launcher)
    sys.path[:] = launcher.reorder_sys_path(sys.path)
    launcher._fix_google_module()
    return launcher._import_gcloud_main()


def answer(connection: socket.socket, main: object, cli: object) -> None:
    """Run one command as if it had been started by itself, and tell its exit code."""
    data, streams, *_ = socket.recv_fds(connection, BYTES_MAX, STREAMS)
    asked = json.loads(data)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = ["gcloud", *asked["words"]]
    code = 0
    try:
        main.main(gcloud_cli=cli)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(str(code).encode())


def serve(root: Path, place: str, commands: list[str]) -> None:
    """Until it is ended."""
    main = load(root)
    cli = main.CreateCLI([])
    for command in commands:
        cli._TopElement().LoadSubElementByPath(command.split("."))
    for name in LATE:
        importlib.import_module(name)
    gc.freeze()  # else a fork's collector touches, and so copies, all that is loaded
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = listening.accept()
            with connection:
                if os.fork() == 0:
                    listening.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    with contextlib.suppress(BrokenPipeError):
                        answer(connection, main, cli)
                    os._exit(0)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])

"""The six services as on Google Cloud: processes behind functions-framework, fed by push subscriptions."""

import contextlib
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from google.pubsub_v1 import PublisherClient, SchemaServiceClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.schema_service.transports import SchemaServiceGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from mend.deploy.stage import services, stage
from mend.deploy.topology import queues, topics
from shared.adapters.gcp import channels
from tests.emulators.running import free_ports, mortal
from tests.tidy.tree import ROOT

READY_SECONDS_MAX = 60
TICK_SECONDS = 1.0
FRAMEWORK = Path(sys.executable).with_name("functions-framework")


class Functions:
    """The processes, each behind an address of its own; one may be killed and started again."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        # A function beside a service's own has an entry point of its own: ingest's tick is a second process.
        self._services = {**{service: service for service in services()}, "tick": "ingest"}
        self._ports = dict(zip(self._services, free_ports(len(self._services)), strict=True))
        self._folder = folder
        self._environment = {**inherited, **environment, "THREADS": "4"}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.urls = {target: f"http://127.0.0.1:{port}" for target, port in self._ports.items()}

    def start(self, *targets: str) -> None:
        """Start the named ones, or all, and wait until they answer."""
        for target in targets or self._services:
            staged = self._folder / self._services[target]
            if not staged.is_dir():
                stage(self._services[target], staged, requirements=False)
            source = f"--source={staged / 'main.py'}"
            words = [*mortal(), str(FRAMEWORK), source, f"--target={target}", "--host=127.0.0.1"]
            with (self._folder / f"{target}.log").open("ab") as log:
                started = {**self._environment, "PORT": str(self._ports[target])}
                self._processes[target] = subprocess.Popen(words, env=started, stdout=log, stderr=log, cwd=staged)
        for target in targets or self._services:
            _wait_until_it_answers(target, self.urls[target], self._folder)

    def kill(self, target: str) -> None:
        """End it, the server's workers included, as a power failure would."""
        process = self._processes[target]
        for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            each.kill()
        process.wait(10)

    def stop(self) -> None:
        """End all."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def deployed(project: str, pubsub: str, folder: Path, environment: Mapping[str, str]) -> Iterator[Functions]:
    """Topics, services and their subscriptions. Ended with the context."""
    functions = Functions(folder, environment)
    stop = threading.Event()
    try:
        functions.start()
        _subscribe(project, pubsub, functions.urls)
        threading.Thread(target=_tick, args=(functions.urls["tick"], stop), daemon=True).start()
        yield functions
    finally:
        stop.set()
        functions.stop()


def _subscribe(project: str, pubsub: str, urls: Mapping[str, str]) -> None:
    publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channels.insecure(pubsub)))
    subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channels.insecure(pubsub)))
    schemas = SchemaServiceClient(transport=SchemaServiceGrpcTransport(channel=channels.insecure(pubsub)))
    for topic in topics():
        asked_topic: dict[str, Any] = {"name": f"projects/{project}/topics/{topic.name}"}
        if topic.schema:  # what does not fit the event's schema is refused when it is published
            definition = (ROOT / "schemas" / "events" / f"{topic.schema}.avsc").read_text()
            schema = {"type_": "AVRO", "definition": definition}
            made = schemas.create_schema(
                request={"parent": f"projects/{project}", "schema_id": topic.name, "schema": schema}
            )
            asked_topic["schema_settings"] = {"schema": made.name, "encoding": "JSON"}
        publisher.create_topic(request=asked_topic)
    for queue in queues():
        asked = {
            "name": f"projects/{project}/subscriptions/{queue.name}",
            "topic": f"projects/{project}/topics/{queue.topic}",
            "push_config": {"push_endpoint": urls[queue.service]},
            "ack_deadline_seconds": 60,
            "retry_policy": {"minimum_backoff": {"seconds": 1}, "maximum_backoff": {"seconds": 10}},
        }
        if queue.buried:
            buried = f"projects/{project}/topics/{queue.buried}"
            asked["dead_letter_policy"] = {"dead_letter_topic": buried, "max_delivery_attempts": 20}
        subscriber.create_subscription(request=asked)


def _tick(url: str, stop: threading.Event) -> None:
    while not stop.wait(TICK_SECONDS):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(urllib.request.Request(f"{url}/tick", b"{}", method="POST"), timeout=10).close()


def _wait_until_it_answers(name: str, url: str, folder: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{name} does not answer: {(folder / f'{name}.log').read_text()[-2_000:]}")

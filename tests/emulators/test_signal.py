"""``mend signal`` against a deployment in which nobody answers: it waits for so long and says so; nothing is made."""

import json
from pathlib import Path

import pytest
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from typer.testing import CliRunner

from mend import runner
from mend.main import app
from shared.adapters.gcp import channels
from shared.ports.event_bus import SIGNALS_TOPIC
from tests.emulators.place import Place
from tests.emulators.running import Emulators


def test_a_report_that_nobody_hears(emulators: Emulators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(emulators, "nobody-hears")
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(runner, "ELSEWHERE_SECONDS_MAX", 1.0)
    publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channels.insecure(emulators.pubsub)))
    subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channels.insecure(emulators.pubsub)))
    home = f"projects/{place.project}"
    topic = publisher.create_topic(name=f"{home}/topics/{SIGNALS_TOPIC}").name
    bystander = f"{home}/subscriptions/bystander"
    subscriber.create_subscription(name=bystander, topic=topic)
    signal = tmp_path / "signal.json"
    signal.write_text(json.dumps({"system": "etl", "message": "disk full"}))
    ended = CliRunner().invoke(app, ["signal", str(signal), "--kind", "generic", "--json"])
    assert ended.exit_code == 1
    assert "no incident has come of it so far" in ended.stderr
    assert json.loads(ended.stdout)["incidents"] == []
    (received,) = subscriber.pull(subscription=bystander, max_messages=5).received_messages
    assert json.loads(received.message.data) == {"system": "etl", "message": "disk full"}
    assert dict(received.message.attributes) == {"kind": "generic"}
    assert [each.name for each in subscriber.list_subscriptions(project=home)] == [bystander]
    assert [each.name for each in publisher.list_topics(project=home)] == [topic]

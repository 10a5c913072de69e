"""The deployment's commands: gcloud itself accepts each, and those for Pub/Sub do on the emulator what they say."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from google.pubsub_v1 import PublisherClient, SchemaServiceClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.schema_service.transports import SchemaServiceGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import Encoding, SchemaView, Subscription, Topic
from typer.testing import CliRunner

from mend.deploy import history, refusals
from mend.deploy.plan import destroyed, plan
from mend.deploy.steps import PRELUDE, Step, Target
from mend.deploy.topology import Queue, history_of, queues, recorded, topics
from mend.deploy.watching import MONITORING
from mend.main import app
from shared.adapters.gcp import channels
from shared.adapters.gcp.event_bus import PubsubEventBus
from shared.domain.errors import MalformedEvent
from shared.events.codec import encode, topic_of
from shared.events.types import BatchStaged, BatchValidated, ClockTicked, SourceDue
from shared.ports.event_bus import DEAD_LETTER_TOPIC, Message
from tests.emulators.running import Emulators
from tests.emulators.test_doctor import refused
from tests.support.heard_commands import ALL_IS_THERE, NOTHING_IS_THERE, heard
from tests.tidy.tree import ROOT

TARGET = Target("deploy-test", "europe-west1")
_FLAG_VALUE = re.compile(r"(--[a-z-]+)=.*")


def shape_of(command: str) -> tuple[str, ...]:
    """The command without its values: two of one shape are parsed alike."""
    words = shlex.split(command)
    first = next(index for index, word in enumerate(words) if word.startswith("-"))
    return (*words[: min(first, 4)], *sorted({_FLAG_VALUE.sub(r"\1", word) for word in words[first:]}))


def lint(commands: list[str], tmp_path: Path) -> dict[str, str]:
    """What gcloud's own static validation says against each command; nothing against one that it accepts."""
    file = tmp_path / "commands.json"
    file.write_text(json.dumps([{"command_string": command} for command in commands]))
    asked = ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={file}"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    return {
        each["command_string"]: str(each["error_message"]) for each in json.loads(answer.stdout) if not each["success"]
    }


def test_gcloud_accepts_every_command(emulators: Emulators, tmp_path: Path) -> None:
    """Those that are given where nothing is there, where all is there as it was, and what is asked before."""
    asked = TARGET._replace(
        spans=True, signals_secret="s", signals_accounts=("a@b.example", "c@d.example"), secrets=("x",), datasets=("y",)
    )
    channel = "*notificationChannels*) echo projects/p/notificationChannels/1 ;; "
    worlds = (NOTHING_IS_THERE, ALL_IS_THERE, f"case $* in {channel}*userLabels*) ;; *describe*|*list*) echo x ;; esac")
    given = [
        heard([*plan(target), *destroyed(target)], tmp_path, each) for target in (TARGET, asked) for each in worlds
    ]
    commands = {shlex.join(each) for run in given for each in run.commands if each[0] == "gcloud"}
    shapes = {shape_of(command): command for command in sorted(commands)}
    wrong = "gcloud pubsub topics create x --no-such-flag=1 --project=p"
    for kind in ("subscriptions update", "jobs update", "sinks update", "metrics update", "dashboards update"):
        assert any(kind in command for command in shapes.values()), kind
    for kind in ("policies update", "triggers update", "builds submit", "identity create", "remove-iam-policy-binding"):
        assert any(kind in command for command in shapes.values()), kind
    refused = lint([*shapes.values(), wrong], tmp_path)
    assert set(refused) == {wrong}, "and it does refuse what is wrong"


_DOCUMENTED = re.compile(r"(gcloud (?:[^`\n|()]|\([^)]*\))+?)(?=`|\n|\||\)|$)", re.MULTILINE)


def test_gcloud_accepts_what_the_guide_and_the_doctor_say(emulators: Emulators, tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").replace("\\\n", "")
    written = {each.strip() for each in _DOCUMENTED.findall(guide) if " " in each.strip()}
    assert len(written) > 10
    alerts = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / MONITORING / "alerts").glob("*.json"))
    written |= {each.strip() for each in _DOCUMENTED.findall(alerts)}
    said = refused(403, "PERMISSION_DENIED", "no"), refused(429, "RESOURCE_EXHAUSTED", "no", "R", quota_limit="Q")
    met = ("PermissionDenied", "ResourceExhausted", "quota_limit: Q quotaExceeded", "no available instance")
    findings = [refusals.of_question(what, json.dumps(each.body), TARGET) for each in said for what in ("project", "x")]
    found = [refusals.of_service("mend-load", "load", each, TARGET) for each in met]
    written |= {each.mend for each in [*findings, *found] if each is not None and each.mend.startswith("gcloud")}
    commands = {re.sub(r"\$(\w+|\([^)]*\))", "x", each).replace("…", "x").replace("MORE", "9") for each in written}
    assert lint(sorted(commands), tmp_path) == {}


def test_the_guides_own_commands_are_taken(emulators: Emulators) -> None:
    """Every ``mend`` command of the guide, its options included, but nothing of it is run."""
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").replace("\\\n", "")
    written = re.findall(r"^    (?:\.venv/bin/)?mend (.+)$", guide, re.MULTILINE)
    assert len(written) > 8
    for each in written:
        words = [word for word in shlex.split(each, comments=True) if word]
        known = CliRunner().invoke(app, [words[0], "--help"], terminal_width=300).stdout
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        assert all(option in known for option in options), f"mend {each}"


@pytest.fixture
def gcloud(emulators: Emulators, quick: str, tmp_path: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    return {
        **inherited,
        "PATH": quick,
        "NUMBER": "123",
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"http://{emulators.pubsub}/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
    }


def run(step: Step, environment: dict[str, str]) -> None:
    ended = subprocess.run(
        ["sh", "-c", PRELUDE + step.shell()], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, f"{step.what}: {ended.stderr}"


class Made:
    """What a project on the emulator holds, as Google's clients read it."""

    def __init__(self, emulators: Emulators) -> None:
        self.home = f"projects/{TARGET.project}"

        def channel() -> object:
            return channels.insecure(emulators.pubsub)

        self.publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel()))
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel()))
        self.schemas = SchemaServiceClient(transport=SchemaServiceGrpcTransport(channel=channel()))

    def topics(self) -> dict[str, Topic]:
        return {_last(each.name): each for each in self.publisher.list_topics(project=self.home)}

    def subscriptions(self) -> dict[str, Subscription]:
        return {_last(each.name): each for each in self.subscriber.list_subscriptions(project=self.home)}

    def definitions(self) -> dict[str, Any]:
        asked = {"parent": self.home, "view": SchemaView.FULL}
        return {_last(each.name): json.loads(each.definition) for each in self.schemas.list_schemas(request=asked)}


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def test_what_is_made_for_pubsub_is_there(emulators: Emulators, gcloud: dict[str, str]) -> None:
    """Every schema, topic and subscription of the plan, by its own commands; made twice, as after a failure."""
    kinds = ("schema", "topic", "subscription")
    steps = [step for step in plan(TARGET) if step.what.split()[0] in kinds and not step.what.endswith(" as it is now")]
    assert len(steps) == len(topics()) + len(queues()) + 2 * len(recorded())
    made = Made(emulators)
    for step in steps:
        run(step, gcloud)
    first = made.topics(), made.subscriptions(), made.definitions()
    for step in steps[:: len(steps) // 9]:
        run(step, gcloud)
    assert (made.topics(), made.subscriptions(), made.definitions()) == first, "made once"
    there, subscribed, definitions = first
    assert there.keys() == {each.name for each in topics()}
    assert subscribed.keys() == {*(each.name for each in queues()), *map(history_of, recorded())}
    for topic in topics():
        settings = there[topic.name].schema_settings
        assert settings.schema == (f"{made.home}/schemas/{topic.name}" if topic.schema else "")
        if topic.schema:
            file = ROOT / "schemas" / "events" / f"{topic.schema}.avsc"
            assert definitions.pop(topic.name) == json.loads(file.read_text(encoding="utf-8"))
            assert settings.encoding == Encoding.JSON
    assert definitions == {}
    for queue in queues():
        are_pushed(subscribed[queue.name], queue, made.home)
    for topic in recorded():
        written = subscribed[history_of(topic)]
        assert (_last(written.topic), written.push_config.push_endpoint) == (topic.name, "")
        table = f"{TARGET.project}.{history.DATASET}.{history.table_of(topic.schema)}"
        how = written.bigquery_config
        assert how.table.replace(":", ".") == table, "gcloud has a colon after the project"
        assert all((how.use_topic_schema, how.write_metadata, how.drop_unknown_fields))


def are_pushed(made: Subscription, queue: Queue, home: str) -> None:
    """A subscription pushes to its service as our own account, and ends in the dead letters."""
    assert _last(made.topic) == queue.topic
    assert made.push_config.push_endpoint == f"https://mend-{queue.service}-123.europe-west1.run.app"
    assert made.push_config.oidc_token.service_account_email == TARGET.account("push")
    assert (made.retry_policy.minimum_backoff.seconds, made.retry_policy.maximum_backoff.seconds) == (10, 600)
    buried = (f"{home}/topics/{DEAD_LETTER_TOPIC}", 20) if queue.buried else ("", 0)
    dead = made.dead_letter_policy
    assert (made.ack_deadline_seconds, dead.dead_letter_topic, dead.max_delivery_attempts) == (600, *buried)


def test_a_topic_takes_its_own_event_alone(emulators: Emulators, gcloud: dict[str, str]) -> None:
    """What does not fit is refused as what no service will ever take, and not tried again."""
    due = topic_of(SourceDue)
    steps = {step.what: step for step in plan(TARGET)}
    for what in (f"schema {due}", f"topic {due}"):
        run(steps[what], gcloud)
    bus = PubsubEventBus(TARGET.project, emulator=emulators.pubsub)
    event = SourceDue(id="e", time=1, subject="b", correlation_id="c", pipeline="p")
    other = ClockTicked(id="e", time=1, subject="b", correlation_id="c")
    good, wrong = (Message(due, encode(each, "/t").data, {}) for each in (event, other))
    assert len(bus.publish([good])) == 1
    with pytest.raises(MalformedEvent, match=f"topic {due} refuses"):
        bus.publish([wrong])
    assert len(bus.publish([good])) == 1, "the next one is taken"


def test_an_event_that_has_grown_is_a_new_revision_of_its_schema(emulators: Emulators, gcloud: dict[str, str]) -> None:
    target = TARGET._replace(project="grown-test")
    name = f"projects/{target.project}/schemas/{topic_of(ClockTicked)}"
    schemas = SchemaServiceClient(transport=SchemaServiceGrpcTransport(channel=channels.insecure(emulators.pubsub)))
    older = {"type": "record", "name": "older", "fields": [{"name": "id", "type": "string"}]}
    schema = {"type_": "AVRO", "definition": json.dumps(older)}
    parent = f"projects/{target.project}"
    schemas.create_schema(request={"parent": parent, "schema_id": topic_of(ClockTicked), "schema": schema})
    steps = {step.what: step for step in plan(target)}
    known = []
    for what in (f"schema {topic_of(ClockTicked)}", *2 * [f"schema {topic_of(ClockTicked)} as it is now"]):
        run(steps[what], gcloud)
        known.append(len(list(schemas.list_schema_revisions(name=name))))
    assert known == [1, 2, 2], "kept, revised once, and then as it is"
    wanted = json.loads((ROOT / "schemas" / "events" / f"{ClockTicked.TYPE}.avsc").read_text())
    assert json.loads(schemas.get_schema(name=name).definition) == wanted


def test_the_twenty_first_revision_takes_the_place_of_the_first(emulators: Emulators, gcloud: dict[str, str]) -> None:
    """Pub/Sub keeps twenty; its emulator keeps more, so that only the deployment's own step can have made room."""
    target = TARGET._replace(project="older-test")
    name = f"projects/{target.project}/schemas/{topic_of(BatchStaged)}"
    schemas = SchemaServiceClient(transport=SchemaServiceGrpcTransport(channel=channels.insecure(emulators.pubsub)))
    parent, topic = f"projects/{target.project}", topic_of(BatchStaged)
    for number in range(20):
        fields = [{"name": f"n{count}", "type": "string", "default": ""} for count in range(number + 1)]
        definition = json.dumps({"type": "record", "name": "grown", "fields": fields})
        schema = {"name": name, "type_": "AVRO", "definition": definition}
        if number == 0:
            schemas.create_schema(request={"parent": parent, "schema_id": topic, "schema": schema})
        else:
            schemas.commit_schema(request={"name": name, "schema": schema})
    before = [each.revision_id for each in schemas.list_schema_revisions(name=name)]
    run({step.what: step for step in plan(target)}[f"schema {topic} as it is now"], gcloud)
    after = [each.revision_id for each in schemas.list_schema_revisions(name=name)]
    assert (len(before), len(after)) == (20, 20)
    assert len(set(before) - set(after)) == 1
    wanted = json.loads((ROOT / "schemas" / "events" / f"{BatchStaged.TYPE}.avsc").read_text())
    assert json.loads(schemas.get_schema(name=name).definition) == wanted


def test_a_subscription_that_is_there_is_brought_up_to_date(emulators: Emulators, gcloud: dict[str, str]) -> None:
    """Made with another endpoint and another patience, as by an earlier version."""
    target = TARGET._replace(project="changed-test")
    home, topic = f"projects/{target.project}", topic_of(BatchValidated)
    publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channels.insecure(emulators.pubsub)))
    subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channels.insecure(emulators.pubsub)))
    steps = {step.what: step for step in plan(target)}
    run(steps[f"topic {DEAD_LETTER_TOPIC}"], gcloud)
    publisher.create_topic(name=f"{home}/topics/{topic}")
    name = f"{home}/subscriptions/load.{topic}"
    older = {"name": name, "topic": f"{home}/topics/{topic}", "ack_deadline_seconds": 60}
    subscriber.create_subscription(request={**older, "push_config": {"push_endpoint": "https://elsewhere.example"}})
    for _ in range(2):
        run(steps[f"subscription load.{topic}"], gcloud)
        found = subscriber.get_subscription(subscription=name)
        assert found.push_config.push_endpoint == "https://mend-load-123.europe-west1.run.app"
        assert found.push_config.oidc_token.service_account_email == target.account("push")
        assert (found.ack_deadline_seconds, found.dead_letter_policy.max_delivery_attempts) == (600, 20)
        assert (found.retry_policy.minimum_backoff.seconds, found.retry_policy.maximum_backoff.seconds) == (10, 600)


def test_what_writes_history_is_made_once(emulators: Emulators, gcloud: dict[str, str]) -> None:
    """The emulator refuses every change of it: it is asked whether it writes where it should."""
    topic = topic_of(ClockTicked)
    target = TARGET._replace(project="history-test")
    steps = {step.what: step for step in plan(target)}
    for what in (f"schema {topic}", f"topic {topic}", *2 * [f"subscription history.{topic}"]):
        run(steps[what], gcloud)
    subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channels.insecure(emulators.pubsub)))
    found = subscriber.get_subscription(subscription=f"projects/{target.project}/subscriptions/history.{topic}")
    how = found.bigquery_config
    assert how.table.replace(":", ".") == "history-test.mend_history.clock_ticked_v1"
    assert all((how.use_topic_schema, how.write_metadata, how.drop_unknown_fields))


def test_nothing_is_found_without_gcloud() -> None:
    """The commands are gcloud's and bq's; no other program is asked for."""
    programs = {step.make[0] for step in [*plan(TARGET), *destroyed(TARGET)]}
    assert programs == {"gcloud", "bq", "sh"}
    assert shutil.which("sh")

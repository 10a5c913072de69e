"""Topics with their schemas, who may publish to them, and the subscriptions: those that push and those into history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from mend.deploy import history
from mend.deploy.rights import PUBSUB, member
from mend.deploy.steps import Step, Target, Words, gcloud, shell
from mend.deploy.topology import (
    ACK_SECONDS,
    BACKOFF_SECONDS_MAX,
    BACKOFF_SECONDS_MIN,
    DELIVERIES_MAX,
    Queue,
    Topic,
    history_of,
    published,
    recorded,
    topics,
    users_of,
)
from shared.ports.event_bus import DEAD_LETTER_TOPIC

REVISIONS_MAX: Final = 20  # that Pub/Sub keeps of one schema


def made(target: Target) -> Iterator[Step]:
    """Every topic; one of events checks each by its schema."""
    for topic in topics():
        users = users_of(topic.name)
        schema: Words = ()
        if topic.schema:
            yield from _schema(target, topic, users)
            schema = (f"--schema={topic.name}", "--message-encoding=json")
        yield Step(
            f"topic {topic.name}",
            gcloud(target, "pubsub topics create", topic.name, *schema),
            gcloud(target, "pubsub topics describe", topic.name),
            users,
        )


def _schema(target: Target, topic: Topic, users: tuple[str, ...]) -> Iterator[Step]:
    """The schema, and what it has become since: the same but for spaces is no news.

    Where there are as many revisions as Pub/Sub keeps, the oldest make room. No message is read by its
    revision: it is JSON, which who takes it reads as it is.
    """
    file = f"schemas/events/{topic.schema}.avsc"
    how = ("--type=avro", f"--definition-file={file}")
    described = gcloud(target, "pubsub schemas describe", topic.name)
    yield Step(f"schema {topic.name}", gcloud(target, "pubsub schemas create", topic.name, *how), described, users)
    newest, spaceless = shell((*described, "--format=value(definition)")), "tr -d '[:space:]'"
    same = f'{newest} | {spaceless} | grep -qxF -e "$({spaceless} < {file})"'
    listing = ("--sort-by=~revisionCreateTime", "--format=value(revisionId)")
    revisions = shell(gcloud(target, "pubsub schemas list-revisions", topic.name, *listing))
    remove = shell(("gcloud", "pubsub", "schemas", "delete-revision"))
    removed = f'{remove} {topic.name}@"$each" --quiet --project={target.project}'
    room = (
        f'known=$({revisions}) && for each in $(echo "$known" | tail -n +{REVISIONS_MAX}); do {removed} || exit 1; done'
    )
    revised = shell(gcloud(target, "pubsub schemas commit", topic.name, *how))
    what = f"schema {topic.name} as it is now"
    yield Step(what, ("sh", "-c", f"{room} && {revised}"), services=users, same=("sh", "-c", same))


def publishers(target: Target) -> Iterator[Step]:
    """Each service may publish what it emits, and nothing else."""
    for service, topic in published():
        words = member(target.account(service), "roles/pubsub.publisher")
        may = gcloud(target, "pubsub topics add-iam-policy-binding", topic, *words)
        yield Step(f"{service} may publish {topic}", may, services=(service,), patient=True)


def burial(target: Target) -> Step:
    """Pub/Sub puts what nobody can take where dead letters are."""
    words = member(PUBSUB, "roles/pubsub.publisher")
    may = gcloud(target, "pubsub topics add-iam-policy-binding", DEAD_LETTER_TOPIC, *words)
    return Step("Pub/Sub may bury what nobody can take", may, patient=True)


def subscriptions(target: Target, wanted: Iterable[Queue]) -> Iterator[Step]:
    """What pushes a topic's messages to a service."""
    for queue in wanted:
        yield _subscription(target, queue)
        if queue.buried:
            words = member(PUBSUB, "roles/pubsub.subscriber")
            may = gcloud(target, "pubsub subscriptions add-iam-policy-binding", queue.name, *words)
            yield Step(f"{queue.name}: dead letters", may, services=(queue.service,), patient=True)


def _subscription(target: Target, queue: Queue) -> Step:
    how = [
        f"--push-endpoint={target.url(f'mend-{queue.service}')}",
        f"--push-auth-service-account={target.account('push')}",
        f"--ack-deadline={ACK_SECONDS}",
        f"--min-retry-delay={BACKOFF_SECONDS_MIN}s",
        f"--max-retry-delay={BACKOFF_SECONDS_MAX}s",
    ]
    if queue.buried:
        how += [f"--dead-letter-topic={queue.buried}", f"--max-delivery-attempts={DELIVERIES_MAX}"]
    named = (f"--topic={queue.topic}", "--expiration-period=never")
    return Step(
        f"subscription {queue.name}",
        gcloud(target, "pubsub subscriptions create", queue.name, *named, *how),
        gcloud(target, "pubsub subscriptions describe", queue.name),
        (queue.service,),
        update=gcloud(target, "pubsub subscriptions update", queue.name, *how),
        patient=True,
    )


def recordings(target: Target) -> Iterator[Step]:
    """Pub/Sub itself writes every event down; what it writes twice the views show once."""
    for topic in recorded():
        table = f"{history.DATASET}.{history.table_of(topic.schema)}"
        place = f"--bigquery-table={target.project}:{table}"
        how = (place, "--use-topic-schema", "--write-metadata", "--drop-unknown-fields")
        name = history_of(topic)
        named = (f"--topic={topic.name}", "--expiration-period=never")
        yield Step(
            f"subscription {name}",
            gcloud(target, "pubsub subscriptions create", name, *named, *how),
            gcloud(target, "pubsub subscriptions describe", name),
            users_of(topic.name),
            update=gcloud(target, "pubsub subscriptions update", name, *how),
            same=_written_so(target, name, f"{target.project}.{table}"),
            patient=True,
        )


def _written_so(target: Target, name: str, table: str) -> Words:
    """Asked first: where a subscription writes may be changed rarely, and the emulator lets nobody change it."""
    wanted = ("table", "useTopicSchema", "writeMetadata", "dropUnknownFields")
    shown = ",".join(f"bigqueryConfig.{each}" for each in wanted)
    described = shell(gcloud(target, "pubsub subscriptions describe", name, f"--format=value({shown})"))
    return ("sh", "-c", f"{described} | tr ':\\t' '. ' | grep -qxF '{table} True True True'")


def destroyed(target: Target, queues: Iterable[Queue]) -> Iterator[Step]:
    """What nobody pushes to any more. What history has not taken yet waits in its subscription, which needs its topic.

    So both stay, and who deploys again finds them; what a service has not taken yet history's subscription has too.
    """
    for queue in queues:
        yield Step(f"subscription {queue.name}", gcloud(target, "pubsub subscriptions delete", queue.name))
    for topic in topics():
        if topic not in recorded():
            yield Step(f"topic {topic.name}", gcloud(target, "pubsub topics delete", topic.name))

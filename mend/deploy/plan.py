"""The deployment as gcloud commands, in order: each step makes what is missing and changes what is not as it should be.

So all can run again, after a failure or a change.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from typing import Final

from mend.deploy import bus, history, images, rights, scheduled_jobs, watching
from mend.deploy.description import APIS, EVENTARC_ROLE, FUNCTIONS, INDEXES, RECEIPTS, SINK, SINK_EXCLUDED, SINK_FILTER
from mend.deploy.steps import Step, Target, asking, gcloud, granted, region, shell, unless
from mend.deploy.topology import queues, recorded, users_of
from mend.services import every_service
from services.ingest.signals import DEPLOYMENT
from shared.ports.event_bus import SIGNALS_TOPIC

_MOMENT: Final = "MOMENT"  # the shell that runs the step fills it in
_AGENTS: Final = ("pubsub", "eventarc")  # Google's own accounts that are given rights here; made at first use otherwise
_TRIGGER: Final = "mend-landed"


def plan(target: Target, service: str = "") -> list[Step]:
    """Every step, or those that one service (or ``audit``) needs alone."""
    signals = [queue for queue in queues() if queue.topic == SIGNALS_TOPIC]
    others = [queue for queue in queues() if queue.topic != SIGNALS_TOPIC]
    before = [*_ground(target), *rights.steps(target), *watching.metrics(target), *_state(target), *_tables(target)]
    before += [*bus.made(target), *_history(target), *bus.recordings(target), *bus.publishers(target)]
    before += [bus.burial(target), *bus.subscriptions(target, signals), *images.built(target)]
    after = [*images.functions(target), *bus.subscriptions(target, others), *_schedules(target), *_landing(target)]
    after += [*_sink(target), *images.jobs(target), *watching.shown(target)]

    def asked(steps: list[Step]) -> list[Step]:
        return [step for step in steps if not service or service in step.services]

    return [*asked(before), _told(target, service), *asked(after)]


def _told(target: Target, service: str) -> Step:
    """A failure that begins soon after is shown with what was deployed before it.

    So it is told before anything is deployed that could break, with its moment: who hears it may not run yet.
    """
    message = {"kind": DEPLOYMENT, "system": "mendline", "version": version("mendline")}
    head, tail = json.dumps({**message, **({"resource": service} if service else {}), "at": _MOMENT}).split(_MOMENT)
    now = '"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'
    words = shell(gcloud(target, "pubsub topics publish", SIGNALS_TOPIC))
    told = f"{words} --message={shlex.quote(head)}{now}{shlex.quote(tail)}"
    return Step("the deployment is told to mend-signals", ("sh", "-c", told), services=(service,) if service else ())


def destroyed(target: Target) -> list[Step]:
    """What takes the system away and leaves the data: buckets, tables, documents, and what history has yet to take.

    What would go on without it goes too: an alert that nothing is heard, a subscription to a topic that is no more.
    """
    steps = [*watching.destroyed(target)]
    steps += [
        Step(
            f"function {function.name}",
            gcloud(target, "run services delete", function.name, *region(target), "--quiet"),
        )
        for function in FUNCTIONS
    ]
    steps.append(Step("the sink of failures", gcloud(target, "logging sinks delete", SINK, "--quiet")))
    words = (f"eventarc triggers delete {_TRIGGER}", f"--location={target.region}", "--quiet")
    steps.append(Step("an object that lands is told", gcloud(target, *words)))
    steps += bus.destroyed(target, queues())
    steps += [
        Step(
            f"schedule {name}",
            gcloud(target, f"scheduler jobs delete {name}", f"--location={target.region}", "--quiet"),
        )
        for name in ("mend-tick", "mend-measure", *(job.name for job in scheduled_jobs.JOBS))
    ]
    return [*steps, *scheduled_jobs.destroyed(target)]


def _ground(target: Target) -> Iterator[Step]:
    apis = [f"{api}.googleapis.com" for api in (*APIS, *(("telemetry",) if target.spans else ()))]
    yield Step("APIs", gcloud(target, "services enable", *apis))
    for api in _AGENTS:
        made = gcloud(target, "beta services identity create", f"--service={api}.googleapis.com")
        yield Step(f"Google's own account for {api}", made, patient=True)
    yield Step("Eventarc may watch", granted(target, rights.EVENTARC, "roles/eventarc.serviceAgent"), patient=True)


def _state(target: Target) -> Iterator[Step]:
    place = ("--database=(default)", f"--location={target.region}", "--type=firestore-native")
    described = gcloud(target, "firestore databases describe --database=(default)")
    yield Step("the state's database", gcloud(target, "firestore databases create", *place), described)
    ttl = gcloud(target, f"firestore fields ttls update expire_at --collection-group={RECEIPTS} --enable-ttl --async")
    yield Step("receipts end by themselves", ttl)
    owners = {name: (each.name,) for each in every_service() for name in each.collections}
    for collection in sorted({*owners, RECEIPTS}):
        exempt = f"firestore indexes fields update json --collection-group={collection} --disable-indexes --async"
        what = f"{collection}: its text is not indexed"
        yield Step(what, gcloud(target, exempt), services=owners.get(collection, ()))
    # Whoever is deployed alone may ask in a new way, also for what another service owns.
    anybody = (*(each.name for each in every_service()), scheduled_jobs.STAGED)
    for collection, fields, order, way in INDEXES:
        configured = [f"--field-config=field-path=f.{field},order=ascending" for field in fields]
        configured.append(f"--field-config=field-path=f.{order},order={way}")
        made = f"firestore indexes composite create --collection-group={collection} --async"
        # An index cannot be asked for by its fields: that it is there already is no failure.
        words = unless(shell(gcloud(target, made, *configured)), "already exists")
        yield Step(f"index {collection} by {', '.join(fields)}, {order} {way}", words, services=anybody)


def _tables(target: Target) -> Iterator[Step]:
    known = [("mend_books", 0, ()), ("mend_staging", 48, ()), (history.DATASET, 0, ())]
    readers = ("load", "validate", "remediate", scheduled_jobs.STAGED)
    for dataset, hours, services in [*known, *((name, 0, readers) for name in target.datasets)]:
        ending = (f"--default_table_expiration={hours * 3_600}",) if hours else ()
        place = ("bq", f"--location={target.region}", f"--project_id={target.project}", "mk", "--force", *ending)
        made = (*place, "--dataset", f"{target.project}:{dataset}")
        yield Step(f"dataset {dataset}", made, services=services)
    yield from rights.on_datasets(target)


def _history(target: Target) -> Iterator[Step]:
    """The tables into which Pub/Sub writes every event, and the views over them."""
    users = {history.table_of(topic.schema): users_of(topic.name) for topic in recorded()}
    for statement in [*history.tables(), *history.new_columns(), *history.views()]:
        of = statement.name.partition(",")[0].removeprefix("events_")
        yield Step(f"history: {statement.name}", (*asking(target), statement.sql), services=users.get(of, ()))
    yield rights.of_pubsub(target)


def _schedules(target: Target) -> Iterator[Step]:
    yield _scheduled(target, "the minute", "tick", "* * * * *")
    yield _scheduled(target, "how things stand is written", "measure", "*/5 * * * *")


def _scheduled(target: Target, what: str, entry: str, when: str) -> Step:
    """A schedule; when it is, somebody may have changed since."""
    name = f"mend-{entry}"
    url = target.url(name)
    place = f"--location={target.region}"
    account = f"--oidc-service-account-email={target.account('scheduler')}"
    how = (place, f"--uri={url}/{entry}", "--http-method=POST", account, f"--oidc-token-audience={url}")
    made = gcloud(target, f"scheduler jobs create http {name}", f"--schedule={when}", *how)
    asked = gcloud(target, f"scheduler jobs describe {name}", place)
    (service,) = [function.service for function in FUNCTIONS if function.name == name]
    update = gcloud(target, f"scheduler jobs update http {name}", *how)
    return Step(what, made, asked, (service,), update=update, patient=True)


def _landing(target: Target) -> Iterator[Step]:
    """An object that lands in the bucket of the project is told to ingest."""
    filters = ("--event-filters=type=google.cloud.storage.object.v1.finalized", "--event-filters=bucket=")
    bucket = target.definitions.removeprefix("gs://")
    place = f"--location={target.region}"
    how = (
        place,
        "--destination-run-service=mend-ingest",
        f"--destination-run-region={target.region}",
        f"--service-account={target.account('push')}",
    )
    yield Step("Eventarc may tell ingest", granted(target, target.account("push"), EVENTARC_ROLE), patient=True)
    agent = shell(gcloud(target, "storage service-agent"))
    words = shell(("gcloud", "projects", "add-iam-policy-binding", target.project))
    role = "--role=roles/pubsub.publisher --condition=None --quiet"
    tell = f'{words} --member="serviceAccount:$({agent})" {role}'
    yield Step("Cloud Storage may tell Eventarc", ("sh", "-c", tell), patient=True)
    yield Step(
        "an object that lands is told",
        gcloud(target, f"eventarc triggers create {_TRIGGER}", *how, filters[0], f"{filters[1]}{bucket}"),
        gcloud(target, f"eventarc triggers describe {_TRIGGER}", place),
        update=gcloud(target, f"eventarc triggers update {_TRIGGER}", *how),
        patient=True,
    )


def _sink(target: Target) -> Iterator[Step]:
    """Failures of other systems, out of the logs: each entry comes in as a signal."""
    topic = f"pubsub.googleapis.com/projects/{target.project}/topics/{SIGNALS_TOPIC}"
    how = (topic, f"--log-filter={SINK_FILTER}")
    excluded = f"exclusion=name=own,filter={SINK_EXCLUDED}"
    asked = gcloud(target, "logging sinks describe", SINK)
    made = gcloud(target, "logging sinks create", SINK, *how, f"--{excluded}")
    # Our exclusion among those of the sink: others are whose who made them, and ours may have been taken out.
    known, taken_out = (
        gcloud(target, "logging sinks update", SINK, *how, f"--{way}-{excluded}") for way in ("update", "add")
    )
    update = ("sh", "-c", f"{shell(known)} 2>/dev/null || {shell(taken_out)}")
    yield Step("failures in the logs are told", made, asked, update=update)
    identity = shell((*asked, "--format=value(writerIdentity)"))
    granted = shell(gcloud(target, "pubsub topics add-iam-policy-binding", SIGNALS_TOPIC))
    words = f'{granted} --member="$({identity})" --role=roles/pubsub.publisher'
    yield Step("the logs may send signals", ("sh", "-c", words), patient=True)

"""The deployment as gcloud commands, in order. Each step first asks whether it is done, so that all can run again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from mend.deploy import history, scheduled_jobs
from mend.deploy.description import (
    APIS,
    COMMON_ROLES,
    EVENTARC_ROLE,
    FUNCTIONS,
    INDEXES,
    PROJECT_ROLES,
    RECEIPTS,
    SINK,
    SINK_EXCLUDED,
    SINK_FILTER,
    SIZES,
    SPANS_ROLE,
    WRITES_OBJECTS,
    Function,
)
from mend.deploy.steps import NUMBER, Step, Target, Words, gcloud, granted, region, shell
from mend.deploy.topology import (
    ACK_SECONDS,
    BACKOFF_SECONDS_MAX,
    BACKOFF_SECONDS_MIN,
    DELIVERIES_MAX,
    Queue,
    history_of,
    published,
    queues,
    recorded,
    topics,
)
from mend.services import every_service
from services.ingest.signals import DEPLOYMENT
from shared.ports.event_bus import DEAD_LETTER_TOPIC, SIGNALS_TOPIC

ROOT: Final = Path(__file__).resolve().parents[2]
MONITORING: Final = "infra/monitoring"
IMAGES: Final = "mend"  # where cloudbuild.yaml puts what it builds
_MOMENT: Final = "MOMENT"  # the shell that runs the step fills it in
_PUBSUB: Final = f"service-{NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com"  # Google's own account
# An index cannot be asked for by its fields: it is made, and that it is there already is no failure.
_THERE: Final = "*'already exists'*"
_AS_SAID: Final = 'printf "%s\\n" "$said" >&2'
PRIVATE: Final = ("--no-allow-unauthenticated", "--ingress=internal")


def plan(target: Target, service: str = "") -> list[Step]:
    """Every step, or those that one service needs alone."""
    signals = [queue for queue in queues() if queue.topic == SIGNALS_TOPIC]
    others = [queue for queue in queues() if queue.topic != SIGNALS_TOPIC]
    before = [*_ground(target), *_state(target), *_tables(target), *_bus(target), *_history(target)]
    before += [*_publishers(target), _burial(target), *_subscriptions(target, signals)]
    after = [*_functions(target), *_subscriptions(target, others), *_schedules(target), *_sink(target)]
    after += [*scheduled_jobs.steps(target), *_monitoring(target)]

    def asked(steps: list[Step]) -> list[Step]:
        return [step for step in steps if not service or step.service == service]

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
    return Step("the deployment is told to mend-signals", ("sh", "-c", told), service=service)


def destroyed(target: Target) -> list[Step]:
    """What takes the system away and leaves the data: buckets, tables and documents stay.

    What would go on without it goes too: an alert that nothing is heard, a subscription to a topic that is no more.
    """
    steps = [*_unwatched(target)]
    steps += [
        Step(
            f"function {function.name}",
            gcloud(target, "run services delete", function.name, *region(target), "--quiet"),
        )
        for function in FUNCTIONS
    ]
    steps.append(Step("the sink of failures", gcloud(target, "logging sinks delete", SINK, "--quiet")))
    words = ("eventarc triggers delete mend-landed", f"--location={target.region}", "--quiet")
    steps.append(Step("an object that lands is told", gcloud(target, *words)))
    names = [*(each.name for each in queues()), *(history_of(topic) for topic in recorded())]
    steps += [Step(f"subscription {name}", gcloud(target, "pubsub subscriptions delete", name)) for name in names]
    steps += [Step(f"topic {each.name}", gcloud(target, "pubsub topics delete", each.name)) for each in topics()]
    steps += [
        Step(
            f"schedule {name}",
            gcloud(target, f"scheduler jobs delete {name}", f"--location={target.region}", "--quiet"),
        )
        for name in ("mend-tick", "mend-measure", *(job.name for job in scheduled_jobs.JOBS))
    ]
    return [*steps, *scheduled_jobs.destroyed(target)]


def _unwatched(target: Target) -> Iterator[Step]:
    for kind, folder, command in (
        ("alert", "alerts", "alpha monitoring policies"),
        ("dashboard", "dashboards", "monitoring dashboards"),
    ):
        for path in sorted((ROOT / MONITORING / folder).glob("*.json")):
            listed = shell(_named(target, command, f"Mendline: {path.stem}"))
            delete = shell(gcloud(target, f"{command} delete", "--quiet"))
            every = f'found=$({listed}) && printf "%s\\n" "$found" | xargs -r -n 1 {delete}'
            yield Step(f"{kind} {path.stem}", ("sh", "-c", every))
    for path in sorted((ROOT / MONITORING / "metrics").glob("*.json")):
        yield Step(f"metric {path.stem}", gcloud(target, "logging metrics delete", path.stem, "--quiet"))


def _ground(target: Target) -> Iterator[Step]:
    apis = [f"{api}.googleapis.com" for api in (*APIS, *(("telemetry",) if target.spans else ()))]
    yield Step("APIs", gcloud(target, "services enable", *apis))
    # What is deployed from a folder is built under this account, which may do nothing in a project of today.
    builder = f"{NUMBER}-compute@developer.gserviceaccount.com"
    yield Step("Cloud Run may build", granted(target, builder, "roles/run.builder"))
    place = f"--location={target.region}"
    made = gcloud(target, f"artifacts repositories create {IMAGES}", place, "--repository-format=docker")
    yield Step("the images' repository", made, gcloud(target, f"artifacts repositories describe {IMAGES}", place))
    names = [*(each.name for each in every_service()), "push", "scheduler", scheduled_jobs.STAGED]
    for name in names:
        yield Step(
            f"account mend-{name}",
            gcloud(target, "iam service-accounts create", f"mend-{name}"),
            gcloud(target, "iam service-accounts describe", target.account(name)),
            name if name in SIZES else "",
        )
    for service in SIZES:
        for role in (*COMMON_ROLES, *PROJECT_ROLES[service], *((SPANS_ROLE,) if target.spans else ())):
            yield Step(f"{service}: {role}", granted(target, target.account(service), role), service=service)
    for bucket in (target.objects, target.definitions):
        guarded = ("--uniform-bucket-level-access", "--public-access-prevention", f"--location={target.region}")
        made = gcloud(target, "storage buckets create", bucket, *guarded)
        yield Step(bucket, made, gcloud(target, "storage buckets describe", bucket))
    for service in SIZES:
        rights = [(target.definitions, "roles/storage.objectViewer")]
        if service in WRITES_OBJECTS:
            rights.append((target.objects, "roles/storage.objectAdmin"))
        for bucket, role in rights:
            member = (f"--member=serviceAccount:{target.account(service)}", f"--role={role}")
            words = gcloud(target, "storage buckets add-iam-policy-binding", bucket, *member)
            yield Step(f"{service}: {role} on {bucket}", words, service=service)


def _state(target: Target) -> Iterator[Step]:
    place = ("--database=(default)", f"--location={target.region}", "--type=firestore-native")
    described = gcloud(target, "firestore databases describe --database=(default)")
    yield Step("the state's database", gcloud(target, "firestore databases create", *place), described)
    ttl = gcloud(target, f"firestore fields ttls update expire_at --collection-group={RECEIPTS} --enable-ttl --async")
    yield Step("receipts end by themselves", ttl)
    for collection in sorted({name for service in every_service() for name in service.collections} | {RECEIPTS}):
        exempt = f"firestore indexes fields update json --collection-group={collection} --disable-indexes --async"
        yield Step(f"{collection}: its text is not indexed", gcloud(target, exempt))
    for collection, fields, order, way in INDEXES:
        configured = [f"--field-config=field-path=f.{field},order=ascending" for field in fields]
        configured.append(f"--field-config=field-path=f.{order},order={way}")
        made = f"firestore indexes composite create --collection-group={collection} --async"
        words = gcloud(target, made, *configured)
        yield Step(
            f"index {collection} by {', '.join(fields)}, {order} {way}",
            ("sh", "-c", f"said=$({shell(words)} 2>&1) || case $said in {_THERE}) ;; *) {_AS_SAID}; exit 1 ;; esac"),
        )


def _tables(target: Target) -> Iterator[Step]:
    for dataset, hours in (("mend_books", 0), ("mend_staging", 48), ("mend_history", 0)):
        ending = (f"--default_table_expiration={hours * 3_600}",) if hours else ()
        place = ("bq", f"--location={target.region}", f"--project_id={target.project}", "mk", "--force", *ending)
        yield Step(f"dataset {dataset}", (*place, "--dataset", f"{target.project}:{dataset}"))


def _history(target: Target) -> Iterator[Step]:
    """Every event is written down by Pub/Sub itself; what it writes twice the views show once."""
    ask = ("bq", f"--location={target.region}", f"--project_id={target.project}", "query", "--use_legacy_sql=false")
    for statement in [*history.tables(), *history.new_columns(), *history.views()]:
        yield Step(f"history: {statement.name}", (*ask, statement.sql))
    may = f'GRANT `roles/bigquery.dataEditor` ON SCHEMA `{history.DATASET}` TO "serviceAccount:{_PUBSUB}"'
    yield Step("Pub/Sub may write history", (*ask, may))
    for topic in recorded():
        table = f"--bigquery-table={target.project}:{history.DATASET}.{history.table_of(topic.schema)}"
        how = (table, "--use-topic-schema", "--write-metadata", "--drop-unknown-fields", "--expiration-period=never")
        name = history_of(topic)
        made = gcloud(target, "pubsub subscriptions create", name, f"--topic={topic.name}", *how)
        yield Step(f"subscription {name}", made, gcloud(target, "pubsub subscriptions describe", name))


def _bus(target: Target) -> Iterator[Step]:
    for topic in topics():
        schema: Words = ()
        if topic.schema:
            file = f"schemas/events/{topic.schema}.avsc"
            how = ("--type=avro", f"--definition-file={file}")
            described = gcloud(target, "pubsub schemas describe", topic.name)
            made = gcloud(target, "pubsub schemas create", topic.name, *how)
            yield Step(f"schema {topic.name}", made, described)
            # An event that has grown: the same but for spaces is no news.
            newest, spaceless = shell((*described, "--format=value(definition)")), "tr -d '[:space:]'"
            same = f'{newest} | {spaceless} | grep -qxF -e "$({spaceless} < {file})"'
            revised = gcloud(target, "pubsub schemas commit", topic.name, *how)
            yield Step(f"schema {topic.name} as it is now", revised, ("sh", "-c", same))
            schema = (f"--schema={topic.name}", "--message-encoding=json")
        yield Step(
            f"topic {topic.name}",
            gcloud(target, "pubsub topics create", topic.name, *schema),
            gcloud(target, "pubsub topics describe", topic.name),
        )


def _publishers(target: Target) -> Iterator[Step]:
    """Each service may publish what it emits, and nothing else."""
    for service, topic in published():
        member = (f"--member=serviceAccount:{target.account(service)}", "--role=roles/pubsub.publisher")
        words = gcloud(target, "pubsub topics add-iam-policy-binding", topic, *member)
        yield Step(f"{service} may publish {topic}", words, service=service)


def _functions(target: Target) -> Iterator[Step]:
    for function in FUNCTIONS:
        yield Step(f"function {function.name}", _deployed(target, function), service=function.service)
        if target.is_open(function.name):
            continue
        caller = "scheduler" if function.target in ("due", "tick", "measure") else "push"
        member = (f"--member=serviceAccount:{target.account(caller)}", "--role=roles/run.invoker")
        words = gcloud(target, "run services add-iam-policy-binding", function.name, *region(target), *member)
        yield Step(f"{function.name} may be called by {caller} alone", words, service=function.service)


def _deployed(target: Target, function: Function) -> Words:
    size = SIZES[function.service]
    return gcloud(
        target,
        "run deploy",
        function.name,
        f"--source=build/stage/{function.service}",
        *region(target),
        f"--service-account={target.account(function.service)}",
        f"--labels=mend={function.service}",
        *(("--allow-unauthenticated", "--ingress=all") if target.is_open(function.name) else PRIVATE),
        f"--memory={size.memory}",
        f"--cpu={size.cpu}",
        f"--concurrency={size.concurrency}",
        f"--max-instances={size.instances_max}",
        f"--timeout={ACK_SECONDS}",
        f"{target.settings},FUNCTION_TARGET={function.target}{target.judging(function.name)}",
        "--quiet",
    )


def _burial(target: Target) -> Step:
    member = (f"--member=serviceAccount:{_PUBSUB}", "--role=roles/pubsub.publisher")
    words = gcloud(target, "pubsub topics add-iam-policy-binding", DEAD_LETTER_TOPIC, *member)
    return Step("Pub/Sub may bury what nobody can take", words)


def _subscriptions(target: Target, wanted: list[Queue]) -> Iterator[Step]:
    for queue in wanted:
        dead = (
            (f"--dead-letter-topic={queue.buried}", f"--max-delivery-attempts={DELIVERIES_MAX}") if queue.buried else ()
        )
        make = gcloud(
            target,
            "pubsub subscriptions create",
            queue.name,
            f"--topic={queue.topic}",
            f"--push-endpoint={target.url(f'mend-{queue.service}')}",
            f"--push-auth-service-account={target.account('push')}",
            f"--ack-deadline={ACK_SECONDS}",
            f"--min-retry-delay={BACKOFF_SECONDS_MIN}s",
            f"--max-retry-delay={BACKOFF_SECONDS_MAX}s",
            "--expiration-period=never",
            *dead,
        )
        exists = gcloud(target, "pubsub subscriptions describe", queue.name)
        yield Step(f"subscription {queue.name}", make, exists, queue.service)
        if queue.buried:
            words = gcloud(
                target,
                "pubsub subscriptions add-iam-policy-binding",
                queue.name,
                f"--member=serviceAccount:{_PUBSUB}",
                "--role=roles/pubsub.subscriber",
            )
            yield Step(f"{queue.name}: dead letters", words, service=queue.service)


def _schedules(target: Target) -> Iterator[Step]:
    yield _scheduled(target, "the minute", "tick", "* * * * *")
    yield _scheduled(target, "how things stand is written", "measure", "*/5 * * * *")
    bucket = target.definitions.removeprefix("gs://")
    filters = ("--event-filters=type=google.cloud.storage.object.v1.finalized", f"--event-filters=bucket={bucket}")
    place = (
        f"--location={target.region}",
        "--destination-run-service=mend-ingest",
        f"--destination-run-region={target.region}",
    )
    made = gcloud(
        target, "eventarc triggers create mend-landed", *place, *filters, f"--service-account={target.account('push')}"
    )
    asked = gcloud(target, "eventarc triggers describe mend-landed", f"--location={target.region}")
    yield Step("Eventarc may tell ingest", granted(target, target.account("push"), EVENTARC_ROLE))
    agent = shell(gcloud(target, "storage service-agent"))
    words = shell(("gcloud", "projects", "add-iam-policy-binding", target.project))
    role = "--role=roles/pubsub.publisher --condition=None --quiet"
    tell = f'{words} --member="serviceAccount:$({agent})" {role}'
    yield Step("Cloud Storage may tell Eventarc", ("sh", "-c", tell))
    yield Step("an object that lands is told", made, asked)


def _scheduled(target: Target, what: str, entry: str, when: str) -> Step:
    name = f"mend-{entry}"
    url = target.url(name)
    words = (f"--location={target.region}", f"--schedule={when}", f"--uri={url}/{entry}", "--http-method=POST")
    account = f"--oidc-service-account-email={target.account('scheduler')}"
    made = gcloud(target, f"scheduler jobs create http {name}", *words, account, f"--oidc-token-audience={url}")
    return Step(what, made, gcloud(target, f"scheduler jobs describe {name}", f"--location={target.region}"))


def _sink(target: Target) -> Iterator[Step]:
    """Failures of other systems, out of the logs: each entry comes in as a signal."""
    topic = f"pubsub.googleapis.com/projects/{target.project}/topics/{SIGNALS_TOPIC}"
    how = (f"--log-filter={SINK_FILTER}", f"--exclusion=name=own,filter={SINK_EXCLUDED}")
    asked = gcloud(target, "logging sinks describe", SINK)
    yield Step("failures in the logs are told", gcloud(target, "logging sinks create", SINK, topic, *how), asked)
    identity = shell((*asked, "--format=value(writerIdentity)"))
    granted = shell(gcloud(target, "pubsub topics add-iam-policy-binding", SIGNALS_TOPIC))
    words = f'{granted} --member="$({identity})" --role=roles/pubsub.publisher'
    yield Step("the logs may send signals", ("sh", "-c", words))


def _monitoring(target: Target) -> Iterator[Step]:
    for path in sorted((ROOT / MONITORING / "metrics").glob("*.json")):
        made = gcloud(
            target, "logging metrics create", path.stem, f"--config-from-file={MONITORING}/metrics/{path.name}"
        )
        yield Step(f"metric {path.stem}", made, gcloud(target, "logging metrics describe", path.stem))
    for path in sorted((ROOT / MONITORING / "dashboards").glob("*.json")):
        made = gcloud(target, "monitoring dashboards create", f"--config-from-file={MONITORING}/dashboards/{path.name}")
        yield Step(f"dashboard {path.stem}", made, _listed(target, "monitoring dashboards", f"Mendline: {path.stem}"))
    for path in sorted((ROOT / MONITORING / "alerts").glob("*.json")):
        made = gcloud(target, "alpha monitoring policies create", f"--policy-from-file={MONITORING}/alerts/{path.name}")
        yield Step(f"alert {path.stem}", made, _listed(target, "alpha monitoring policies", f"Mendline: {path.stem}"))


def _named(target: Target, kind: str, name: str) -> Words:
    return gcloud(target, f"{kind} list", f'--filter=displayName="{name}"', "--format=value(name)")


def _listed(target: Target, kind: str, name: str) -> Words:
    return ("sh", "-c", f"{shell(_named(target, kind, name))} | grep -q .")

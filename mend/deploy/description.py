"""What each service needs on Google Cloud: its functions, its size, its rights, and the state's indexes."""

from __future__ import annotations

from typing import Final, NamedTuple

RECEIPTS: Final = "receipts"
SETTLE_SECONDS: Final = 60  # objects that land together are told of one by one, and in any order
WAIT_SECONDS: Final = 900  # for thirty verdicts, one after the other, each of half a minute


class Function(NamedTuple):
    """A Cloud Run function: the service whose code it runs and the entry point that it starts."""

    name: str
    service: str
    target: str


class Size(NamedTuple):
    """What one instance has, and how many requests it takes at once."""

    memory: str
    cpu: int
    concurrency: int
    instances_max: int


FUNCTIONS: Final = (
    Function("mend-ingest", "ingest", "ingest"),
    Function("mend-due", "ingest", "due"),
    Function("mend-signals", "ingest", "signals"),
    Function("mend-tick", "ingest", "tick"),
    Function("mend-validate", "validate", "validate"),
    Function("mend-load", "load", "load"),
    Function("mend-classify", "classify", "classify"),
    Function("mend-remediate", "remediate", "remediate"),
    Function("mend-notify", "notify", "notify"),
    Function("mend-measure", "notify", "measure"),
)
# A batch is held in row groups: two at once fit beside the libraries. What only reads and writes documents takes more.
_ROWS: Final = Size("2Gi", 1, 2, 20)
_DOCUMENTS: Final = Size("512Mi", 1, 8, 10)
SIZES: Final = {
    "ingest": _ROWS,
    "validate": _ROWS,
    "load": _ROWS,
    "remediate": _ROWS,
    "classify": _DOCUMENTS,
    "notify": _DOCUMENTS,
}
# Beside reading definitions, using the state and publishing what it emits, which every service does.
PROJECT_ROLES: Final = {
    "ingest": ("roles/secretmanager.secretAccessor",),
    "validate": ("roles/bigquery.dataViewer", "roles/bigquery.jobUser"),
    "load": ("roles/bigquery.dataEditor", "roles/bigquery.jobUser"),
    "classify": (),
    "remediate": ("roles/bigquery.dataViewer", "roles/bigquery.jobUser"),
    "notify": ("roles/secretmanager.secretAccessor", "roles/monitoring.metricWriter"),
}
# Those that are given for single secrets and datasets where some are named; else for all that the project has.
ACCESSOR_ROLE: Final = "roles/secretmanager.secretAccessor"
TABLE_ROLES: Final = ("roles/bigquery.dataViewer", "roles/bigquery.dataEditor")
OWN_DATASETS: Final = ("mend_books", "mend_staging")  # where load keeps what it does
# Only where spans are sent: Google's own collector, which speaks OpenTelemetry's protocol.
SPANS_ENDPOINT: Final = "https://telemetry.googleapis.com/v1/traces"
SPANS_ROLE: Final = "roles/telemetry.tracesWriter"
COMMON_ROLES: Final = ("roles/datastore.user",)
EVENTARC_ROLE: Final = "roles/eventarc.eventReceiver"  # of the account that pushes
READS_ROLE: Final = "roles/storage.objectViewer"
WRITES_ROLE: Final = "roles/storage.objectUser"  # files, and no rights to them
WRITES_OBJECTS: Final = ("ingest", "validate", "load", "remediate")
# Queries by some fields in the order of another; those by a single field Firestore indexes by itself.
INDEXES: Final = (
    ("deliveries", ("pipeline",), "seq", "ascending"),
    ("deliveries", ("pipeline",), "seq", "descending"),
    ("deliveries", ("pipeline",), "registered_at", "descending"),
    ("profiles", ("pipeline",), "seq", "descending"),
    ("waiting", ("pipeline",), "seq", "ascending"),
    ("verdicts", ("pipeline",), "rename_json", "ascending"),
    ("posteriors", ("key",), "at", "descending"),
    ("posteriors", ("breaker",), "at", "descending"),
    ("healings", ("asks",), "asks_seq", "ascending"),
    ("loads", ("table",), "loaded_at", "ascending"),
    ("incidents", ("pipeline", "cause"), "closed_at", "descending"),
    ("incidents", ("source",), "last_seen", "descending"),
    # Those of the commands that show a whole store, or one pipeline of it.
    ("deliveries", ("pipeline",), "batch_id", "ascending"),
    ("verdicts", ("pipeline",), "batch_id", "ascending"),
    ("loads", ("kind",), "batch_id", "ascending"),
    ("loads", ("kind", "pipeline"), "batch_id", "ascending"),
)
APIS: Final = (
    "run",
    "cloudbuild",
    "artifactregistry",
    "pubsub",
    "firestore",
    "bigquery",
    "storage",
    "secretmanager",
    "cloudscheduler",
    "eventarc",
    "monitoring",
    "logging",
)
# What other systems' failures look like in the logs; our own never, or every failure would feed itself.
_WORKER: Final = '(log_id("airflow-worker") OR log_id("airflow-k8s-worker"))'
_FIRST_OF_TASK: Final = 'labels.workflow:* AND NOT textPayload:"Failed to execute job"'
_JOB: Final = "protoPayload.metadata.jobChange"
SINK: Final = "mend-failures"
SINK_FILTER: Final = " OR ".join(
    f"({each})"
    for each in (
        f'resource.type="cloud_composer_environment" AND {_WORKER} AND severity>=ERROR AND {_FIRST_OF_TASK}',
        'resource.type="dataflow_step" AND log_id("dataflow.googleapis.com/job-message") AND severity>=ERROR',
        'resource.type="workflows.googleapis.com/Workflow" AND jsonPayload.state="FAILED"',
        f'resource.type="bigquery_project" AND {_JOB}.after="DONE" AND {_JOB}.job.jobStatus.errorResult.code:*',
        'resource.type="cloud_run_job" AND severity>=ERROR AND NOT resource.labels.job_name:"mend-"',
        'resource.type="cloud_run_revision" AND severity>=ERROR AND NOT resource.labels.service_name:"mend-"',
    )
)
# Our own queries and loads are told by our own services.
SINK_EXCLUDED: Final = 'protoPayload.authenticationInfo.principalEmail:"mend-"'

"""Goal: an entry of Cloud Logging says what failed, where, and in words that can be diagnosed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.classify.decision import diagnose
from services.ingest import signals
from shared.events.types import ClockTicked, IncidentOpened

CAUSE = ClockTicked(id="c", time=1, subject="s", correlation_id="c")


def entry(kind: str, of: dict[str, str], /, **rest: Any) -> dict[str, Any]:
    resource = {"type": kind, "labels": {"project_id": "p", **of}}
    return {
        "insertId": "x1", "logName": "projects/p/logs/some%2Flog", "resource": resource, "severity": "ERROR", **rest
    }  # fmt: skip


def incident(signal: dict[str, Any], address: str = "") -> IncidentOpened:
    return signals.incident_of(signal, address, CAUSE, 1)


TRACEBACK = """Task failed with exception
Traceback (most recent call last):
  File "/opt/airflow/bigquery.py", line 9, in execute
google.api_core.exceptions.Forbidden: 403 Access Denied: Table p:d.orders: User does not have permission
"""
AIRFLOW = entry(
    "cloud_composer_environment",
    {"environment_name": "etl"},
    labels={"workflow": "daily", "task-id": "load", "execution-date": "2026-11-20T00:00:00+00:00"},
    textPayload=TRACEBACK,
)
DATAFLOW = entry(
    "dataflow_step",
    {"job_id": "2026-11-20_08_58_37-436931", "job_name": "ingest-orders", "step_id": ""},
    textPayload="Workflow failed. Causes: The job failed because a worker ran out of memory",
)
WORKFLOWS = entry(
    "workflows.googleapis.com/Workflow",
    {"workflow_id": "nightly"},
    labels={"workflows.googleapis.com/execution_id": "9b1c"},
    jsonPayload={
        "state": "FAILED",
        "failure": {
            "exception": json.dumps({"code": 429, "message": "HTTP server responded with error code 429"}),
            "source": "main.call_api",
        },
    },
)
BIGQUERY = entry(
    "bigquery_project",
    {"location": "US"},
    protoPayload={
        "serviceName": "bigquery.googleapis.com",
        "resourceName": "projects/p/jobs/load-42",
        "authenticationInfo": {"principalEmail": "sa@p.iam.gserviceaccount.com"},
        "status": {"code": 3, "message": "Provided Schema does not match Table p:d.t. Cannot add fields (field: x)"},
        "metadata": {
            "jobChange": {
                "after": "DONE",
                "job": {
                    "jobName": "projects/p/jobs/load-42",
                    "jobConfig": {"type": "IMPORT", "labels": {"pipeline": "orders"}},
                    "jobStatus": {
                        "errorResult": {
                            "code": 3,
                            "message": "Provided Schema does not match Table p:d.t. Cannot add fields (field: x)",
                        }
                    },
                },
            }
        },
    },
)
REFUSED = entry(
    "bigquery_project",
    {},
    protoPayload={
        "resourceName": "projects/p/jobs/q1",
        "authenticationInfo": {"principalEmail": "etl@p.iam.gserviceaccount.com"},
        "status": {"code": 7, "message": "Access Denied: Dataset p:d: Permission bigquery.tables.create denied"},
    },
)
RUN = entry(
    "cloud_run_revision",
    {"service_name": "loader", "revision_name": "loader-00007-abc"},
    textPayload="Memory limit of 512 MiB exceeded with 543 MiB used. Consider increasing the memory limit",
)
RUN_TRACEBACK = entry(
    "cloud_run_job",
    {"job_name": "nightly"},
    textPayload='Traceback (most recent call last):\n  File "m.py", line 1\npsycopg.OperationalError: timeout expired',
)
GKE = entry(
    "k8s_container",
    {"cluster_name": "c", "pod_name": "etl-0"},
    jsonPayload={"message": "java.net.UnknownHostException: kafka"},
)


@pytest.mark.parametrize(
    ("signal", "wanted", "failure_class"),
    [
        (
            AIRFLOW,
            {"system": "airflow", "exception_type": "Forbidden", "run": "2026-11-20T00:00:00+00:00"},
            "permission_denied",
        ),
        (DATAFLOW, {"system": "dataflow", "where": "ingest-orders", "run": "2026-11-20_08_58_37-436931"}, None),
        (
            WORKFLOWS,
            {"system": "workflows", "where": "nightly.main.call_api", "http_status": 429, "run": "9b1c"},
            "rate_limiting",
        ),
        (
            BIGQUERY,
            {"system": "bigquery", "where": "orders", "pipeline": "orders", "run": "load-42", "grpc_status": ""},
            None,
        ),
        (
            REFUSED,
            {"where": "etl", "grpc_status": "PERMISSION_DENIED", "run": "q1"},
            "permission_denied",
        ),
        (RUN, {"system": "cloud run", "where": "loader", "run": "loader-00007-abc"}, None),
        (RUN_TRACEBACK, {"where": "nightly", "exception_type": "OperationalError", "message": "timeout expired"}, None),
        (GKE, {"system": "k8s_container", "where": "c.etl-0"}, None),
    ],
)
def test_what_an_entry_says(signal: dict[str, Any], wanted: dict[str, Any], failure_class: str | None) -> None:
    found = incident(signal)
    evidence = json.loads(found.evidence_json)
    known = {**found.model_dump(), "run": evidence.get("run"), "where": evidence.get("resource")}
    assert {name: known[name] for name in wanted} == wanted
    assert found.message
    diagnosed = diagnose(found)
    if failure_class:
        assert diagnosed.failure_class == failure_class


def test_another_run_of_the_same_is_the_same_failure() -> None:
    for one, other in (
        (AIRFLOW, {**AIRFLOW, "insertId": "x2", "labels": {**AIRFLOW["labels"], "execution-date": "2026-11-21"}}),
        (DATAFLOW, json.loads(json.dumps(DATAFLOW).replace("436931", "436932"))),
        (BIGQUERY, json.loads(json.dumps(BIGQUERY).replace("load-42", "load-43"))),
    ):
        assert incident(one).fingerprint == incident(other).fingerprint
    assert incident(AIRFLOW).fingerprint != incident(DATAFLOW).fingerprint


@pytest.mark.parametrize("kind", ["cloud_composer_environment", "dataflow_step", "bigquery_project", "x", ""])
@pytest.mark.parametrize("labels", [None, [], "x", {"job_name": {"a": 1}}, {"x_id": 1, "workflow_id": ["y"]}])
@pytest.mark.parametrize("payload", [None, [], 7, "x", {"failure": 1, "message": 3, "metadata": []}])
def test_entries_of_any_shape_are_incidents(kind: str, labels: Any, payload: Any) -> None:
    signal = {
        "logName": "l", "resource": {"type": kind, "labels": labels}, "labels": labels,
        "textPayload": payload, "jsonPayload": payload, "protoPayload": payload, "httpRequest": payload,
    }  # fmt: skip
    assert signals.kind_of(signal) == "log_entry"
    assert incident(signal).fingerprint.startswith("signal|")
    for address in ("log_entry", ""):
        assert incident({"resource": labels, "jsonPayload": payload}, address).fingerprint


def test_secrets_and_addresses_in_an_entry_are_masked() -> None:
    found = incident(entry("cloud_run_revision", {}, textPayload="login failed: password=hunter2hunter2 for ann@x.org"))
    assert "hunter2" not in found.model_dump_json()
    assert "ann@x.org" not in found.model_dump_json()
    asked = json.loads(json.dumps(REFUSED).replace("etl@p.iam.gserviceaccount.com", "ann.lee@x.org"))
    assert "ann" not in incident(asked).model_dump_json()

"""`mend doctor` in a project on Google Cloud reads its documents too, and says so when it may not."""

from pathlib import Path

import pytest

from mend.deploy.undone import undone
from mend.services import timed_collections
from shared.adapters.gcp.state_store import FirestoreStateStore
from shared.ports.state_store import Put
from tests.emulators.http_server import Recorder
from tests.emulators.project_there import TARGET, environment, whole
from tests.emulators.running import Emulators
from tests.end_to_end.command import mend

NOW = 1_800_000_000_000_000
MINUTE = 60_000_000
LOG = (
    'gcloud logging read \'resource.type="cloud_run_revision" AND resource.labels.service_name="mend-load"'
    " AND severity>=WARNING' --limit=5 --project=p-1"
)
RUN = "gcloud scheduler jobs run mend-tick --location=europe-west1 --project=p-1"


def receipt(event: str, at: int, **change: object) -> Put:
    base = {"service": "load", "event_id": event, "event_type": "t.v1", "state": "handled", "published": True, "at": at}
    return Put("receipts", f"load:{event}", {**base, **change})


def store_of(emulators: Emulators, project: str) -> FirestoreStateStore:
    return FirestoreStateStore(project, emulator=emulators.firestore, now=lambda: NOW)


def test_what_was_left_undone(emulators: Emulators) -> None:
    store = store_of(emulators, "undone")
    assert undone(store, timed_collections(), TARGET, NOW) == []
    long_ago, just_now = NOW - 90 * MINUTE, NOW - 5 * MINUTE
    letter = {"origin": "dead_letter", "service": "load", "event_id": "e5"}
    store.commit(
        [
            *(receipt(f"e{number}", long_ago + number, published=False) for number in (1, 2)),
            receipt("e3", just_now, published=False),
            receipt("e4", long_ago, state="failing"),
            receipt("e6", long_ago),
            Put("incidents", "i5", letter),
            Put("incidents", "i6", {**letter, "event_id": "e6"}),
            *(Put(name, "d1", {"wake_at": long_ago}) for name in timed_collections()),
            *(Put(name, "d2", {"wake_at": just_now}) for name in timed_collections()),
        ]
    )
    assert {each.what: each.mend for each in undone(store, timed_collections(), TARGET, NOW)} == {
        "2 events handled, but what it led to is not on the bus, first t.v1 e1 by load": LOG,
        "1 event tried again and again, first t.v1 e4 by load": LOG,
        "1 event used up all deliveries, first e5 of load": "mend replay i5",
        **{f"1 timer in {each} rang and nobody heard, the first 90 minutes ago": RUN for each in timed_collections()},
    }


@pytest.mark.parametrize("reads", [True, False])
def test_the_command_reads_them_or_says_what_it_lacks(
    emulators: Emulators, quick: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: bool
) -> None:
    """gcloud's login is none of mend's: without credentials of its own the command that makes them is named."""
    for name in ("FIRESTORE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    store_of(emulators, TARGET.project).commit([receipt("e1", 1, published=False)])
    with Recorder(whole) as server:
        there = {**environment(server.url, tmp_path, quick), "HOME": str(tmp_path), "NO_GCE_CHECK": "true"}
        known = {"FIRESTORE_EMULATOR_HOST": emulators.firestore} if reads else {}
        ended = mend("doctor", "--project", "p-1", "--json", cwd=tmp_path, environment={**there, **known})
    expected = {
        True: {"what": "1 event handled, but what it led to is not on the bus, first t.v1 e1 by load", "mend": LOG},
        False: {
            "what": "documents: mend itself has no credentials here",
            "mend": "gcloud auth application-default login",
        },
    }
    assert (ended.code, ended.json["findings"]) == (1, [expected[reads]])


def test_a_command_without_credentials_says_how_to_make_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    places = {"MEND_ROOT": "gs://p-1-mend-objects", "MEND_PROJECT": "gs://p-1-mend-project"}
    named = {"MEND_BACKEND": "gcp", "MEND_PROJECT_ID": "p-1", "HOME": str(tmp_path), "NO_GCE_CHECK": "true"}
    ended = mend("status", cwd=tmp_path, environment={**places, **named})
    assert ended.code != 0
    assert "gcloud auth application-default login" in ended.said
    assert "Traceback" not in ended.said

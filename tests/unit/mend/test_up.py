"""`mend up` announces what is new once, keeps schedules, takes in what others send, and stops cleanly."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mend.watching import OBJECTS_ONE_BY_ONE_MAX, Watch, last_due
from shared.domain.errors import StoreUnavailable
from shared.events.types import SourceDue
from shared.runtime import settings, wiring
from shared.runtime.http_server import LocalServer
from tests.conformance.turned_clock import TurnedClock
from tests.unit.mend.small_project import CONTRACT, HEADER, PIPELINE, lines


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A pipeline of orders."""
    for folder in ("pipelines", "contracts", "landing"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pipelines" / "orders.yaml").write_text(PIPELINE.format(mode="append", healing="observe"))
    (tmp_path / "contracts" / "orders.odcs.yaml").write_text(CONTRACT)
    return tmp_path


class Looking:
    """A watch over a project, and what it said."""

    def __init__(self, project: Path, *, quick: bool = False) -> None:
        given = settings.load({}, root=str(project / "store"), project=str(project))
        source = wiring.source_of(given)
        self.clock = TurnedClock()
        self.said: list[str] = []
        self.handled: set[str] = set()
        definitions = wiring.definitions_of(given)
        at_rest = wiring.at_rest_of(given) if quick else lambda uri: False
        handled = self.handled.__contains__
        self.watch = Watch(definitions, lambda kind: source, self.clock, handled, self.said.append, at_rest)

    def look(self, seconds: float = 2) -> list[SourceDue]:
        """One look, some seconds after the last."""
        self.clock.sleep(seconds)
        return self.watch.look()


def test_a_delivery_is_announced_once_it_keeps_still(project: Path) -> None:
    looking = Looking(project)
    assert looking.look() == []
    file = project / "landing" / "a.csv"
    file.write_text(HEADER)
    assert looking.look() == []
    file.write_text(HEADER + lines(1, 2))  # still being written
    assert looking.look() == []
    (event,) = looking.look()
    assert (event.pipeline, event.uri) == ("orders", "")
    assert looking.look() == []


def test_what_is_finished_does_not_wait_for_what_is_not(project: Path) -> None:
    looking = Looking(project)
    (project / "landing" / "a.csv").write_text(HEADER)
    looking.look()
    (project / "landing" / "b.csv").write_text(HEADER)
    (event,) = looking.look()
    assert event.uri == "landing/a.csv"
    (event,) = looking.look()
    assert event.uri == "landing/b.csv"


def test_what_nobody_writes_is_announced_at_the_next_look(project: Path) -> None:
    looking = Looking(project, quick=True)
    with (project / "landing" / "a.csv").open("w") as file:
        file.write(HEADER)
        file.flush()
        assert [looking.look(seconds=0.1), looking.look(seconds=0.1)] == [[], []]
    (event,) = looking.look(seconds=0.1)
    assert event.pipeline == "orders"


def test_many_at_once_are_one_announcement_and_each_is_taken(project: Path) -> None:
    looking = Looking(project)
    (project / "landing" / "a.csv").write_text(HEADER)
    looking.look()
    looking.look()
    for number in range(OBJECTS_ONE_BY_ONE_MAX + 1):
        (project / "landing" / f"b{number}.csv").write_text(HEADER)
    looking.look()
    assert [event.uri for event in looking.look()] == [""]
    assert looking.look() == []


def first_id(project: Path) -> str:
    """Id of what a fresh watcher announces."""
    looking = Looking(project)
    looking.look()
    return looking.look()[0].id


def test_two_watchers_announce_the_same_event(project: Path) -> None:
    (project / "landing" / "a.csv").write_text(HEADER)
    first, second = Looking(project), Looking(project)
    assert [*first.look(), *second.look()] == []
    assert {event.id for looking in (first, second) for event in looking.look()} == {first_id(project)}


def test_what_was_handled_before_is_not_announced_again(project: Path) -> None:
    (project / "landing" / "a.csv").write_text(HEADER)
    looking = Looking(project)
    looking.look()
    (event,) = looking.look()
    later = Looking(project)
    later.handled.add(event.id)
    assert [later.look(), later.look(), later.look()] == [[], [], []]


def test_a_source_that_fails_is_announced_once_and_again_when_it_is_back(project: Path) -> None:
    (project / "landing").rmdir()
    looking = Looking(project)
    assert len(looking.look()) == 1
    assert looking.look() == []
    (project / "landing").mkdir()
    (project / "landing" / "a.csv").write_text(HEADER)
    assert len([*looking.look(), *looking.look()]) == 1


def test_pipelines_come_and_go_and_a_wrong_one_stops_no_other(project: Path) -> None:
    looking = Looking(project)
    (project / "landing" / "a.csv").write_text(HEADER)
    (project / "pipelines" / "bad.yaml").write_text("pipeline: [")
    looking.look()
    assert [event.pipeline for event in looking.look()] == ["orders"]
    assert len(looking.said) == 1
    assert "pipelines/bad.yaml:1" in looking.said[0]
    fresh = PIPELINE.format(mode="append", healing="observe").replace("pipeline: orders", "pipeline: bad")
    (project / "pipelines" / "bad.yaml").write_text(fresh)
    looking.look()
    assert [event.pipeline for event in looking.look()] == ["bad"]
    (project / "pipelines" / "bad.yaml").unlink()
    looking.look()
    assert list(looking.watch.pipelines) == ["orders"]


def test_a_schedule_is_due_once_a_time_and_its_files_are_not_watched(project: Path) -> None:
    text = PIPELINE.format(mode="append", healing="observe") + 'schedule: "*/5 * * * *"\n'
    (project / "pipelines" / "orders.yaml").write_text(text)
    (project / "landing" / "a.csv").write_text(HEADER)
    looking = Looking(project)
    first = looking.look()
    assert len(first) == 1  # the last due time, in case nobody ran then
    assert [looking.look(), looking.look()] == [[], []]
    looking.clock.sleep(300)
    second = looking.look()
    assert len(second) == 1
    assert first[0].id != second[0].id
    assert Looking(project).look()[0].id == first[0].id


@pytest.mark.parametrize(
    ("schedule", "now", "due"),
    [
        ("5 * * * *", "2024-03-01T10:07:30", "2024-03-01T10:05:00"),
        ("5 * * * *", "2024-03-01T10:05:00", "2024-03-01T10:05:00"),
        ("5 * * * *", "2024-03-01T10:04:59", "2024-03-01T09:05:00"),
        ("0 6 * * mon", "2024-03-01T10:00:00", "2024-02-26T06:00:00"),
    ],
)
def test_the_last_due_minute(schedule: str, now: str, due: str) -> None:
    def micros(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000

    assert last_due(schedule, micros(now)) * 60_000_000 == micros(due)


# ── the server ──


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server that repeats what it is sent."""
    running = LocalServer(0, {"echo": lambda request: (request.path + request.get_data(as_text=True), 202)})
    yield running
    running.close()


def post(port: int, path: str, body: str = "", **headers: str) -> tuple[int, str]:
    """Status and text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()


def test_the_server_answers_its_routes_only(server: LocalServer) -> None:
    assert post(server.port, "/echo/kind", "hello") == (202, "/echo/kindhello")
    assert post(server.port, "/other")[0] == 404


def test_a_web_page_is_refused(server: LocalServer) -> None:
    assert post(server.port, "/echo", "x", Origin="http://elsewhere.example")[0] == 403


def test_a_port_in_use_is_said(server: LocalServer) -> None:
    with pytest.raises(StoreUnavailable, match="choose another with --port"):
        LocalServer(server.port, {})


# ── the whole ──


def up(project: Path, *arguments: str) -> subprocess.Popen[str]:
    """A process that runs everything."""
    code = "from mend.main import main; main()"
    command = [sys.executable, "-c", code, "up", "--project", str(project), "--json", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def loaded(project: Path) -> list[int]:
    """Ids of the orders in the warehouse."""
    given = settings.load({}, root=str(project / "mend-store"), project=str(project))
    process = wiring.build(given)
    rows = [row for batch in process.warehouse.dump("shop.orders") for row in batch.column("id").to_pylist()]
    process.close()
    return sorted(rows)


def until(holds: object, seconds: float = 40) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.3)


@pytest.mark.slow
def test_two_at_once_load_everything_once_and_stop_when_told(project: Path) -> None:
    (project / "landing" / "a.csv").write_text(HEADER + lines(1, 5))
    running = [up(project), up(project)]
    try:
        until((project / "mend-store" / "warehouse.duckdb").exists)
        (project / "landing" / "b.csv").write_text(HEADER + lines(6, 9))
        until(lambda: loaded(project) == list(range(1, 10)))
        running[0].send_signal(signal.SIGTERM)
        running[1].send_signal(signal.SIGINT)
        said = [process.communicate(timeout=30) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], said
    lines_said = [json.loads(line) for out, _ in said for line in out.splitlines()]
    arrivals = [line for line in lines_said if line["event"] == "delivery.arrived.v1" and line["outcome"] == "handled"]
    assert len(arrivals) == 2
    assert loaded(project) == list(range(1, 10))


@pytest.mark.slow
def test_requests_and_signals_come_in_by_http(project: Path) -> None:
    with contextlib.closing(LocalServer(0, {})) as free:
        port = free.port
    text = PIPELINE.format(mode="append", healing="observe") + 'schedule: "0 0 1 1 *"\n'
    (project / "pipelines" / "orders.yaml").write_text(text)
    process = up(project, "--port", str(port))
    try:
        until(lambda: _answers(port))
        (project / "landing" / "a.csv").write_text(HEADER + lines(1, 3))
        assert post(port, "/requests", '{"pipeline": "orders"}')[0] == 202
        assert post(port, "/requests", "{")[0] == 400
        assert post(port, "/signals/generic", '{"system": "etl", "message": "disk full"}')[0] == 202
        until(lambda: loaded(project) == [1, 2, 3])
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()


def _answers(port: int) -> bool:
    try:
        return post(port, "/")[0] == 404
    except OSError:
        return False


def test_without_pipelines_it_says_what_to_do(tmp_path: Path) -> None:
    process = up(tmp_path)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "mend init" in said

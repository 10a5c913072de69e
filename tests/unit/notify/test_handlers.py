"""People are told once, by every channel that works, and nothing that a channel refused is lost."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.classify.handlers import SERVICE as CLASSIFY
from services.notify.handlers import SERVICE
from services.notify.messages import TRIES_MAX
from shared.domain.errors import DefinitionError, ForeignFailure
from shared.events.types import (
    BatchHeld,
    ClockTicked,
    Event,
    IncidentClassified,
    IncidentClosed,
    IncidentOpened,
    RemedyApplied,
    RemedyProposed,
    RemedyUndone,
)
from shared.ports.channel import Notice
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import START, TurnedClock
from tests.support.local_ports import handle, make_process

PIPELINE = """\
pipeline: flights
source: {{kind: files, uri: landing/*.csv}}
contract: contracts/flights.odcs.yaml
destination: {{table: travel.flights}}
alerts: {{channels: [{channels}]}}
"""
HOUR = 3_600


class Heard:
    """A channel that keeps what it is told, or refuses it while ``broken``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.notices: list[Notice] = []
        self.broken: ForeignFailure | None = None

    def send(self, notice: Notice) -> None:
        if self.broken is not None:
            raise self.broken
        self.notices.append(notice)


class World:
    """notify and classify over the local adapters, with channels that can be listened to."""

    def __init__(self, folder: Path, channels: str = "console, teams") -> None:
        (folder / "pipelines").mkdir()
        (folder / "pipelines/flights.yaml").write_text(PIPELINE.format(channels=channels))
        self.clock = TurnedClock()
        self.console, self.teams = Heard("console"), Heard("teams")
        self.process: Process = replace(
            make_process(folder, self.clock), channels={"console": self.console, "teams": self.teams}
        )

    def hear(self, event: Event) -> list[Event]:
        return handle(self.process, SERVICE, event)

    def tick(self) -> list[Event]:
        return self.hear(ClockTicked(id=f"t{self.clock.now()}", time=self.clock.now(), subject="c", correlation_id="c"))

    def incident(self, number: int, **fields: object) -> str:
        """Have classify know an incident; its id."""
        given = {"fingerprint": f"f{number}", "origin": "violation", "pipeline": "flights", "check": "type"}
        given |= {"column": "day", "rows": 100, "rows_failed": 20, "uri": "landing/a.csv", **fields}
        event = IncidentOpened(id=f"i{number}", time=START, subject="s", correlation_id="c", **given)
        found = handle(self.process, CLASSIFY, event)[0]
        assert isinstance(found, IncidentClassified)
        return found.incident_id

    def message(self, key: str) -> dict[str, object]:
        stored = self.process.store.get("messages", key)
        assert stored is not None
        return stored.data


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _event(kind: type[Event], number: int, incident: str, **fields: object) -> Event:
    given = {"id": f"{kind.__name__}{number}", "time": START, "subject": "s", "correlation_id": "c"}
    return kind(**{**given, "incident_id": incident, "pipeline": "flights", "batch_id": f"b{number}", **fields})


def proposed(number: int, incident: str, **fields: object) -> Event:
    given = {"remedy_id": f"r{number}", "remedy": "parse_dates", "tier": "guarded", "rows": 20, "p_cause": 0.9}
    plan = "Read 20 cells of day as %d.%m.%Y"
    return _event(RemedyProposed, number, incident, **{**given, "plan": plan, "reason": "mode is propose", **fields})


def closed(number: int, incident: str, state: str = "healed", **fields: object) -> Event:
    return _event(IncidentClosed, number, incident, state=state, explanation="done", **fields)


def refused(reason: str = "", status: int = 503) -> ForeignFailure:
    return ForeignFailure("Teams answered", system="teams", http_status=status, reason=reason)


def test_a_proposal_says_what_to_type(world: World) -> None:
    incident = world.incident(1)
    assert world.hear(proposed(1, incident)) == []
    (notice,) = world.console.notices
    assert notice.command == "mend approve r1"
    assert notice.key.endswith("|RemedyProposed1")
    assert notice.severity == "warning"
    facts = dict(notice.facts)
    assert facts["The whole story"] == f"mend explain {incident}"
    assert (facts["Rows failed"], facts["Class"], facts["Source"]) == ("20 of 100", "data_corruption", "landing/a.csv")
    assert world.teams.notices == [notice]
    assert world.message("proposed|r1")["channels"] == {"console": "sent", "teams": "sent"}


@pytest.mark.parametrize(
    ("event", "title", "command"),
    [
        (
            _event(RemedyApplied, 1, "i1", remedy_id="r1", remedy="parse_dates", tier="safe"),
            "Applied: parse dates, flights",
            "mend undo r1",
        ),
        (
            _event(RemedyUndone, 1, "i1", remedy_id="r1", remedy="parse_dates", by="ann"),
            "Undone: parse dates, flights",
            "mend explain i1",
        ),
        (closed(1, "i1"), "Healed: incident, flights", "mend explain i1"),
        (closed(1, "i1", "escalated"), "Needs a person: incident, flights", "mend explain i1"),
    ],
)
def test_every_kind_is_told_even_of_an_incident_nobody_knows(
    world: World, event: Event, title: str, command: str
) -> None:
    world.hear(event)
    (notice,) = world.console.notices
    assert (notice.title, notice.command) == (title, command)


@pytest.mark.parametrize(
    "value",
    ["ada@example.org", "+39 333 123 4567", "IT60X0542811101000000123456", "4111 1111 1111 1111", "RSSMRA85T10A562S"],
)
def test_no_notice_tells_personal_data(world: World, value: str) -> None:
    said = f"the key {value} is there already"
    incident = world.incident(1, origin="signal", system="postgres", message=said, check="", column="")
    world.hear(proposed(1, incident, plan=said, reason=said))
    world.hear(_event(IncidentClosed, 2, incident, state="escalated", explanation=said))
    world.hear(
        BatchHeld(
            id="h1", time=START, subject="b1", correlation_id="c", batch_id="b1", pipeline="flights", attempt=1,
            reason=said, rows=1,
        )
    )  # fmt: skip
    told = [" ".join([each.title, each.summary, *(fact for _, fact in each.facts)]) for each in world.console.notices]
    assert len(told) == 3
    assert all("is there already" in each and value not in each for each in told)


def test_a_held_batch_is_told_once_whatever_its_attempts(world: World) -> None:
    for attempt in (1, 2, 3):
        world.hear(
            BatchHeld(
                id=f"h{attempt}", time=START, subject="b1", correlation_id="c", batch_id="b1", pipeline="flights",
                attempt=attempt, reason=f"the score is 7{attempt}", rows=10,
            )
        )  # fmt: skip
    assert len(world.console.notices) == 1


def test_the_same_event_twice_and_many_reports_are_one_message(world: World) -> None:
    incident = world.incident(1)
    for number in (1, 1, 2):
        world.hear(closed(number, incident))
    assert len(world.console.notices) == 1
    world.hear(closed(3, incident, "escalated"))
    assert len(world.console.notices) == 2


def test_a_family_is_told_once_an_hour_and_counted(world: World) -> None:
    for number in range(1, 13):
        world.hear(proposed(number, world.incident(number)))
    assert [notice.key.partition("|r")[2].partition("|")[0] for notice in world.console.notices] == ["1", "11"]
    assert dict(world.console.notices[1].facts)["Others of this kind"].startswith("10 in the last hour")
    assert world.message("proposed|r5")["state"] == "collapsed"
    world.clock.sleep(HOUR)
    world.hear(proposed(13, world.incident(13)))
    assert dict(world.console.notices[2].facts)["Others of this kind"].startswith("1 in the last hour")


def test_other_columns_are_other_families(world: World) -> None:
    world.hear(proposed(1, world.incident(1)))
    world.hear(proposed(2, world.incident(2, column="month")))
    assert len(world.console.notices) == 2


def test_a_broken_channel_stops_no_other_and_loses_nothing(world: World) -> None:
    world.teams.broken = refused()
    (opened,) = world.hear(proposed(1, world.incident(1)))
    assert isinstance(opened, IncidentOpened)
    assert (opened.service, opened.system, opened.http_status, opened.pipeline) == ("notify", "teams", 503, "")
    assert len(world.console.notices) == 1
    assert world.message("proposed|r1")["state"] == "pending"
    world.clock.sleep(30)
    world.teams.broken = None
    world.tick()
    assert world.teams.notices == []
    world.clock.sleep(31)
    world.tick()
    assert world.teams.notices == world.console.notices
    assert world.message("proposed|r1")["state"] == "sent"
    assert world.message("proposed|r1")["wake_at"] == 0


def test_two_refusals_of_one_channel_are_one_incident(world: World) -> None:
    world.teams.broken = refused("retry_after=120", 429)
    first = world.hear(proposed(1, world.incident(1)))
    second = world.hear(proposed(2, world.incident(2, column="month")))
    assert first[0].fingerprint == second[0].fingerprint  # type: ignore[attr-defined]
    assert world.message("proposed|r1")["wake_at"] == START + 120_000_000


def test_a_channel_that_stays_broken_is_given_up(world: World) -> None:
    world.teams.broken = refused()
    world.hear(proposed(1, world.incident(1)))
    reports = []
    for _ in range(TRIES_MAX + 2):
        world.clock.sleep(86_400)
        reports += world.tick()
    assert len(reports) == 1
    assert world.message("proposed|r1")["channels"] == {"console": "sent", "teams": "lost"}
    assert world.message("proposed|r1")["wake_at"] == 0


def test_news_of_a_broken_channel_go_elsewhere_and_open_nothing(world: World) -> None:
    world.teams.broken = refused()
    (opened,) = world.hear(proposed(1, world.incident(1)))
    assert isinstance(opened, IncidentOpened)
    (classified,) = handle(world.process, CLASSIFY, opened)
    incident = classified.incident_id  # type: ignore[attr-defined]
    world.console.notices.clear()
    assert world.hear(closed(2, incident, "escalated", pipeline="", batch_id="")) == []
    assert len(world.console.notices) == 1
    world.console.broken = ForeignFailure("no", system="console")
    assert world.hear(proposed(3, incident, pipeline="", batch_id="")) == []
    assert world.message("proposed|r3")["state"] == "pending"


def test_news_of_a_broken_console_find_another_channel(world: World) -> None:
    world.console.broken = ForeignFailure("no", system="console", exception_type="OSError")
    (opened,) = world.hear(proposed(1, world.incident(1)))
    (classified,) = handle(world.process, CLASSIFY, opened)
    world.teams.notices.clear()
    assert world.hear(closed(2, classified.incident_id, "escalated", pipeline="")) == []  # type: ignore[attr-defined]
    assert len(world.teams.notices) == 1


def test_an_unknown_channel_is_a_wrong_definition(tmp_path: Path) -> None:
    world = World(tmp_path, "console, pigeon")
    with pytest.raises(DefinitionError, match=r"pipelines/flights\.yaml: .*pigeon.*console, teams"):
        world.hear(proposed(1, world.incident(1)))
    assert world.console.notices == []
    ours = world.incident(2, service="notify", origin="internal", system="mendline", exception_type="DefinitionError")
    world.hear(proposed(2, ours))
    assert len(world.console.notices) == 1


def test_without_a_readable_pipeline_the_console_is_told(world: World, tmp_path: Path) -> None:
    world.hear(closed(1, "i1", pipeline="elsewhere"))
    (tmp_path / "pipelines/flights.yaml").write_text("pipeline: [")
    world.hear(closed(2, "i2"))
    assert len(world.console.notices) == 2
    assert world.teams.notices == []


def test_texts_are_clean_and_bounded(world: World) -> None:
    incident = world.incident(1, uri="landing/" + "x" * 2_000)
    plan = "a\x1b[31m\u202e" + "p" * 3_000 + " password=hunter2"
    world.hear(proposed(1, incident, plan=plan, reason="r" * 3_000))
    (notice,) = world.console.notices
    assert len(notice.summary) <= 1_000
    assert all(len(value) <= 300 for _, value in notice.facts)
    assert "\x1b" not in notice.summary
    assert "\u202e" not in notice.summary

"""Notices what is new at the sources of a project's pipelines, and when their schedules are due.

Ids of what is announced derive from what was seen, so that two processes that watch one store announce the same event,
and a store does not grow while nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath

from shared.domain.errors import ForeignFailure, MendError
from shared.domain.ids import derive
from shared.domain.pipeline import PipelineDefinition, parse_pipeline
from shared.events.types import SourceDue
from shared.ports.clock import Clock
from shared.ports.definitions import Definitions
from shared.ports.source import Source

STILL_SECONDS = 2.0  # a file that has not changed for so long is whole, unless the system says so earlier
WEB_SECONDS = 60.0  # a server is asked less often than a folder
OBJECTS_ONE_BY_ONE_MAX = 50  # announced alone per look; more of them are announced as one, and all of a first look

Seen = frozenset[tuple[str, str]]  # (uri, generation)


@dataclass(slots=True)
class _Watched:
    """What is known of one pipeline's source."""

    since: dict[tuple[str, str], float] = field(default_factory=dict)  # of what was seen at the last look, since when
    announced: Seen = frozenset()
    text: str = ""  # the definition as it was read last, and what it says
    parsed: PipelineDefinition | None = None
    failure: str = ""
    looked_at: float = float("-inf")
    due_announced: int = 0  # minute
    problem: str = ""


class Watch:
    """Asked again and again, says which ``source.due`` events there are to publish."""

    def __init__(
        self,
        definitions: Definitions,
        source: Callable[[str], Source],
        clock: Clock,
        handled: Callable[[str], bool],
        say: Callable[[str], None],
        at_rest: Callable[[str], bool] = lambda uri: False,
    ) -> None:
        self._definitions = definitions
        self._source = source
        self._clock = clock
        self._handled = handled
        self._say = say
        self._at_rest = at_rest
        self._watched: dict[str, _Watched] = {}
        self.pipelines: dict[str, PipelineDefinition] = {}

    def look(self) -> list[SourceDue]:
        """Look at every pipeline once."""
        self._read_definitions()
        found: list[SourceDue] = []
        for name, pipeline in self.pipelines.items():
            watched = self._watched[name]
            found += self._scheduled(pipeline, watched) if pipeline.schedule else self._arrived(pipeline, watched)
        return [event for event in found if not self._handled(event.id)]

    def _read_definitions(self) -> None:
        """The pipelines as their files stand now; what is wrong in one is said once and stops no other."""
        known: dict[str, PipelineDefinition] = {}
        for path in self._definitions.list("pipelines"):
            watched = self._watched.setdefault(PurePosixPath(path).stem, _Watched())
            try:
                text = self._definitions.read(path).text
                if watched.parsed is None or watched.text != text:
                    watched.text, watched.parsed = text, None
                    watched.parsed = parse_pipeline(text, path)
                pipeline, problem = watched.parsed, ""
            except MendError as error:
                problem = str(error)
            else:
                stem = PurePosixPath(path).stem
                if pipeline.pipeline != stem:
                    problem = (
                        f"{path}: the pipeline is called {pipeline.pipeline}; name the file {pipeline.pipeline}.yaml"
                    )
                elif pipeline.source.kind != "push":
                    known[stem] = pipeline
            if problem and problem != watched.problem:
                self._say(problem)
            watched.problem = problem
        self.pipelines = known

    def _scheduled(self, pipeline: PipelineDefinition, watched: _Watched) -> Iterator[SourceDue]:
        """The last minute at which the schedule was due, also if nobody ran then."""
        minute = last_due(pipeline.schedule, self._clock.now())
        if minute > watched.due_announced:
            watched.due_announced = minute
            yield self._due(pipeline.pipeline, f"schedule {pipeline.schedule}", str(minute))

    def _arrived(self, pipeline: PipelineDefinition, watched: _Watched) -> Iterator[SourceDue]:
        """What is new, once it is whole."""
        now = self._clock.monotonic()
        uri = pipeline.source.uri
        web = uri.lower().startswith(("http://", "https://"))
        if web and now - watched.looked_at < WEB_SECONDS:
            return
        watched.looked_at = now
        try:
            seen: Seen = frozenset(
                (each.uri, each.generation) for each in self._source(pipeline.source.kind).discover(uri)
            )
        except ForeignFailure as error:
            if error.reason != watched.failure:
                watched.failure = error.reason
                # The hour lets a source that fails again on another day be reported again.
                yield self._due(
                    pipeline.pipeline, "watch", f"failing|{error.reason}|{self._clock.now() // 3_600_000_000}"
                )
            return
        watched.failure = ""
        watched.since = {each: watched.since.get(each, now) for each in seen}
        fresh = {
            each
            for each in seen - watched.announced
            # A server gives an object whole.
            if web or now - watched.since[each] >= STILL_SECONDS or self._keeps_still(each, watched, now)
        }
        if not fresh:
            return
        few = bool(watched.announced) and len(fresh) <= OBJECTS_ONE_BY_ONE_MAX
        if not few and fresh == seen - watched.announced:
            watched.announced = seen
            yield self._due(pipeline.pipeline, "watch", _digest(seen))
            return
        for each_uri, generation in sorted(fresh)[:OBJECTS_ONE_BY_ONE_MAX]:
            watched.announced |= {(each_uri, generation)}
            yield self._due(pipeline.pipeline, "watch", f"{each_uri}|{generation}", each_uri)

    def _keeps_still(self, seen: tuple[str, str], watched: _Watched, now: float) -> bool:
        """Unchanged since an earlier look, and in nobody's hands."""
        return watched.since[seen] < now and self._at_rest(seen[0])

    def _due(self, pipeline: str, why: str, about: str, uri: str = "") -> SourceDue:
        event_id = derive("source.due", pipeline, why, about)
        return SourceDue(
            id=event_id,
            time=self._clock.now(),
            subject=pipeline,
            correlation_id=event_id,
            pipeline=pipeline,
            uri=uri,
            requested_by=f"mend up: {why}"[:100],
        )


def last_due(schedule: str, now: int) -> int:
    """The latest minute (since 1970) not after ``now`` (microseconds) at which a cron line was due, in UTC."""
    from croniter import croniter

    moment = datetime.fromtimestamp(now // 1_000_000, UTC)
    if croniter.match(schedule, moment):
        return now // 60_000_000
    return int(croniter(schedule, moment).get_prev(datetime).timestamp()) // 60


def _digest(seen: Seen) -> str:
    return derive(*(part for each in sorted(seen) for part in each))

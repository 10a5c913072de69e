"""The page of events says who hears what, as the services do."""

import re
from pathlib import Path

from mend.services import every_service
from shared.events.types import EVENT_TYPES

README = Path(__file__).parents[3] / "schemas" / "README.md"
ROW = re.compile(r"^\| `([a-z_.]+\.v\d+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def test_every_event_has_one_line_and_its_hearers_are_those_that_handle_it() -> None:
    told = {name: hearers for name, _, hearers, _ in ROW.findall(README.read_text(encoding="utf-8"))}
    assert set(told) == set(EVENT_TYPES)
    for name, model in EVENT_TYPES.items():
        hear = sorted(service.name for service in every_service() if model in service.handlers)
        said = sorted(word for word in re.findall(r"[a-z]+", told[name]) if word in {s.name for s in every_service()})
        assert said == hear, f"{name}: schemas/README.md says {said}, {hear} handle it"

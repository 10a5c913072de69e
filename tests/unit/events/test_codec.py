"""Goal: no event changes on its way. Method: random events of every type through every encoding, and bad bytes."""

from __future__ import annotations

import io
import json
from typing import Any, get_args, get_origin

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import MalformedEvent
from shared.events import codec, schemas
from shared.events.types import EVENT_TYPES, BatchStaged, Event, SourceDue

_TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    bare = get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation
    if get_origin(bare) is list:
        return st.lists(_TEXT, max_size=4)
    if bare is bool:
        return st.booleans()
    if bare is float:
        return st.floats(0, 1, allow_nan=False)
    return st.integers(0, 2**62) if bare is int else _TEXT


def events() -> st.SearchStrategy[Event]:
    """Any event of any type."""
    return st.one_of(
        st.builds(model, **{name: _values(field.annotation) for name, field in model.model_fields.items()})
        for model in EVENT_TYPES.values()
    )


@given(events())
@settings(max_examples=300, deadline=None)
def test_binary_mode_round_trip(event: Event) -> None:
    encoded = codec.encode(event.model_copy(update={"time": event.time % 10**15}), "/mendline/test")
    assert codec.decode(encoded.data, encoded.attributes) == event.model_copy(update={"time": event.time % 10**15})
    assert all(len(value.encode()) <= 1_024 for value in encoded.attributes.values())


@given(events())
@settings(max_examples=150, deadline=None)
def test_structured_mode_round_trip(event: Event) -> None:
    timed = event.model_copy(update={"time": event.time % 10**15})
    data = codec.encode_structured(timed, "/mendline/test")
    assert codec.decode(data, {"content-type": codec.STRUCTURED_CONTENT_TYPE}) == timed


@given(events())
@settings(max_examples=150, deadline=None)
def test_every_payload_fits_its_avro_schema(event: Event) -> None:
    schema = fastavro.parse_schema(schemas.avro_schema(type(event)))
    payload = json.loads(codec.payload_of(event))
    assert fastavro.validate(payload, schema, raise_errors=True)
    assert set(payload) == {field["name"] for field in schema["fields"]}
    assert None not in payload.values()


def _resolved(payload: dict[str, Any], writer: dict[str, Any], reader: dict[str, Any]) -> Any:
    """A record as Avro gives it to who has another schema than who wrote it."""
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(writer), payload)
    written.seek(0)
    return fastavro.schemaless_reader(written, fastavro.parse_schema(writer), fastavro.parse_schema(reader))


@pytest.mark.parametrize("model", EVENT_TYPES.values(), ids=lambda model: model.TYPE)
def test_an_event_may_grow(model: type[Event]) -> None:
    """Pub/Sub takes a revision that reads what the one before wrote, and that the one before reads: for every field."""
    newer = schemas.avro_schema(model)
    older = {**newer, "fields": newer["fields"][:-1]}
    empty = {field["name"]: field["default"] for field in newer["fields"]}
    assert fastavro.validate(empty, fastavro.parse_schema(newer), raise_errors=True)
    last = newer["fields"][-1]["name"]
    less = {name: value for name, value in empty.items() if name != last}
    assert _resolved(less, older, newer) == empty, "what was written before is read now, the new field absent"
    assert _resolved(empty, newer, older) == less, "what is written now is read by who does not know the field"


def test_a_schema_without_defaults_may_not_grow() -> None:
    """What the defaults are for: Avro refuses the same step without them."""
    newer = schemas.avro_schema(SourceDue)
    bare = [{name: value for name, value in field.items() if name != "default"} for field in newer["fields"]]
    older = {**newer, "fields": bare[:-1]}
    less = {field["name"]: field["default"] for field in newer["fields"][:-1]}
    with pytest.raises(fastavro.read.SchemaResolutionError):
        _resolved(less, older, {**newer, "fields": bare})


def test_other_words_about_an_event_are_no_other_schema() -> None:
    class Reworded(SourceDue):
        """The same event in other words."""

    assert schemas.avro_schema(Reworded) == schemas.avro_schema(SourceDue)
    assert "doc" not in schemas.avro_schema(SourceDue)


def test_the_schema_files_are_current(request: pytest.FixtureRequest) -> None:
    folder = request.config.rootpath / "schemas" / "events"
    wanted = {schemas.file_name(model): schemas.render(model) for model in EVENT_TYPES.values()}
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.avsc")}
    assert found == wanted, "models and schemas/events differ: run make schemas"


def _due(**changes: Any) -> SourceDue:
    given = {"id": "e1", "time": 1, "subject": "flights", "correlation_id": "c1", "pipeline": "flights"}
    return SourceDue(**{**given, **changes})


def test_ids_are_derived_from_cause_type_and_subject_matter() -> None:
    cause = _due()
    fields = {"pipeline": "flights", "uri": "x"}
    one = SourceDue.caused_by(cause, "about", 5, **fields)
    assert one.id == SourceDue.caused_by(cause, "about", 99, **fields).id
    assert one.id != SourceDue.caused_by(cause, "else", 5, **fields).id
    assert one.id != SourceDue.caused_by(_due(id="e2"), "about", 5, **fields).id
    assert (one.causation_id, one.correlation_id) == ("e1", "c1")


@pytest.mark.parametrize(
    ("data", "attributes"),
    [
        (b"{}", {}),
        (b"{}", {"ce-type": "no.such.v1"}),
        (b"not json", {"ce-type": "source.due.v1"}),
        (b"{}", {"ce-type": "source.due.v1"}),
        (b'{"id": 7}', {"ce-type": "source.due.v1"}),
        (b"\xff\xfe", {"ce-type": "source.due.v1"}),
        (b"[1]", {"content-type": "application/cloudevents+json"}),
        (b'{"type": "source.due.v1", "data": "x"}', {"content-type": "application/cloudevents+json"}),
        (b"[" * 100_000, {"content-type": "application/cloudevents+json"}),
        (codec.payload_of(_due()).encode(), {"ce-type": "source.due.v1", "ce-id": "another"}),
        (codec.payload_of(_due()).encode(), {"ce-type": "source.due.v1", "ce-specversion": "0.3"}),
        (b" " * (codec.EVENT_BYTES_MAX + 1), {"ce-type": "source.due.v1"}),
    ],
)
def test_what_is_no_event_is_malformed(data: bytes, attributes: dict[str, str]) -> None:
    with pytest.raises(MalformedEvent):
        codec.decode(data, attributes)


def test_a_complaint_quotes_no_value() -> None:
    secret = "hunter2-planted"
    payload = json.dumps({**_due().model_dump(), "page": secret}).encode()
    with pytest.raises(MalformedEvent) as caught:
        codec.decode(payload, {"ce-type": "source.due.v1"})
    assert secret not in str(caught.value)
    assert "page" in str(caught.value)


def test_new_fields_of_a_later_publisher_are_ignored() -> None:
    payload = json.dumps({**_due().model_dump(), "added_later": 1}).encode()
    assert codec.decode(payload, {"ce-type": "source.due.v1"}) == _due()


def test_an_event_too_large_for_the_bus_is_refused_at_the_source() -> None:
    parts = ["p" * 1_000] * 1_200
    event = BatchStaged(
        **_due().model_dump(include={"id", "time", "subject", "correlation_id", "pipeline"}),
        batch_id="b",
        attempt=1,
        reading=1,
        seq="s",
        parts=parts,
        rows=1,
    )
    with pytest.raises(MalformedEvent, match="bytes long"):
        codec.encode(event, "/mendline/test")

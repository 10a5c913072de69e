"""What is kept and said of an attempt whose rows the warehouse has."""

from __future__ import annotations

from services.load.manifest import Manifest
from services.load.withdrawn import LOADS
from shared.domain.batch import LoadState
from shared.events.types import BatchLoaded, BatchValidated
from shared.ports.ports import Ports
from shared.ports.state_store import Document


def key_of(batch_id: str, attempt: int) -> str:
    """Under which an attempt stands in the collection: one document, whatever becomes of it."""
    return f"{batch_id}:{attempt}"


def loaded(event: BatchValidated, written: Manifest, rows_discarded: int, size: int, ports: Ports) -> BatchLoaded:
    """Record the load and say it. The event is the one that released the rows, by whatever job they came."""
    document = {
        **written._asdict(),
        "kind": "load",
        "keys": list(written.keys),
        "files": list(written.files),
        "pipeline": event.pipeline,
        "state": LoadState.LOADED,
        "rows_passed": event.rows_passed,
        "rows_loaded": written.rows,
        "rows_discarded": rows_discarded,
        "remedy_id": event.remedy_id,
        "loaded_at": ports.clock.now(),
    }
    ports.state.put(LOADS, key_of(event.batch_id, event.attempt), document)
    return BatchLoaded.caused_by(
        event,
        f"{event.batch_id}|{event.attempt}",
        ports.clock.now(),
        subject=event.batch_id,
        batch_id=event.batch_id,
        pipeline=event.pipeline,
        attempt=event.attempt,
        reading=event.reading,
        table=written.table,
        mode=written.mode,
        rows_passed=event.rows_passed,
        rows_loaded=written.rows,
        rows_discarded=rows_discarded,
        bytes=size,
        remedy_id=event.remedy_id,
    )


def without_rows(about: Document, table: str, state: LoadState) -> Document:
    """The document of an attempt of which the warehouse has nothing."""
    names = ("batch_id", "pipeline", "attempt", "reading")
    counts = {"rows_loaded": 0, "rows_discarded": 0}
    return {
        "kind": "load",
        **{name: about[name] for name in names},
        "table": table,
        "state": state,
        **counts,
        "files": [],
    }

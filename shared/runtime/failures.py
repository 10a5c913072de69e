"""A handler's exception as an incident, with all the structured evidence the exception carries."""

from __future__ import annotations

import json
import traceback

from shared.domain.errors import DefinitionError, ForeignFailure
from shared.domain.ids import derive
from shared.domain.incident import Origin
from shared.domain.masking import clean, mask
from shared.events.codec import topic_of
from shared.events.types import EVENT_TYPES, Event, IncidentOpened

_STACK_FRAMES_MAX = 12


def incident_of(
    service: str, origin: Origin, failed: Event, cause: Event, error: Exception, now: int
) -> IncidentOpened:
    """The incident that ``error`` makes of ``failed``; ``cause`` is the event in hand: a retry, or ``failed``."""
    pipeline, batch, uri = (str(getattr(failed, name, "")) for name in ("pipeline", "batch_id", "uri"))
    replayable = failed.TYPE in EVENT_TYPES  # bytes that are no event of ours cannot be handled any better later
    foreign = error if isinstance(error, ForeignFailure) else None
    kind = foreign.exception_type if foreign and foreign.exception_type else type(error).__name__
    detail = foreign.reason or str(foreign.http_status or "") if foreign else ""
    about = batch or uri or failed.subject
    parts = (service, pipeline, about, kind, detail)
    # Masking may make two addresses one; the digest keeps them apart.
    fingerprint = f"{mask('|'.join(parts), 900)}|{derive(*parts, length=8)}"
    return IncidentOpened.caused_by(
        cause,
        f"failure|{service}|{fingerprint}",
        now,
        fingerprint=fingerprint,
        origin=origin,
        pipeline=pipeline,
        batch_id=batch,
        attempt=int(getattr(failed, "attempt", 0)),
        reading=int(getattr(failed, "reading", 0)),
        uri=uri,
        system=clean(foreign.system, 200) if foreign else "mendline",
        exception_type=clean(kind, 200),
        http_status=max(foreign.http_status, 0) if foreign else 0,
        grpc_status=clean(foreign.grpc_status, 200) if foreign else "",
        sqlstate=clean(foreign.sqlstate, 200) if foreign else "",
        reason=clean(foreign.reason, 500) if foreign else "",
        exit_code=foreign.exit_code if foreign else 0,
        message=_message(error),
        evidence_json=json.dumps(_evidence(error), ensure_ascii=False),
        service=service,
        event_id=failed.id if replayable else "",
        event_topic=topic_of(failed.TYPE) if replayable else failed.subject,
    )


def _message(error: Exception) -> str:
    if isinstance(error, DefinitionError):
        return mask(str(error).replace('"', "“").replace("'", "’"))  # names of keys help, and are no cells
    if isinstance(error, ForeignFailure):
        return mask(error.message)
    return mask(str(error))


def _evidence(error: Exception) -> dict[str, object]:
    if isinstance(error, DefinitionError):
        return {"file": error.path, "line": error.line, "column": error.column, "hint": mask(error.hint)}
    if isinstance(error, ForeignFailure):
        return {}
    frames = traceback.extract_tb(error.__traceback__)[-_STACK_FRAMES_MAX:]
    return {"stack": [f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno} {frame.name}" for frame in frames]}

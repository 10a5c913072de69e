"""First verdicts of a young pipeline wait, for a bounded time, until the deliveries before them have theirs.

Drift shows only beside earlier batches. Where a whole history lands at once and its batches are judged side by side,
each would be judged before there is anything to compare it with. So the first attempt of a batch, before which fewer
batches are known than a comparison reads, is put by in a document of its own while an earlier delivery is not judged,
or could not be and is being read otherwise. The verdict on that one calls it, and a timer does in case nobody else
will. A delivery is waited for, and waits itself, no longer than ``wait_seconds`` after it was registered: one that
never gets a verdict delays the others once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from services.validate.baseline import BASELINE_MAX, BASELINE_MIN
from services.validate.terms import VERDICTS, baseline_before
from shared.domain.batch import VerdictState
from shared.events.types import BatchDue, BatchStaged, Event
from shared.ports.state_store import Where

if TYPE_CHECKING:
    from services.validate.terms import Terms
    from shared.ports.ports import Ports
    from shared.ports.state_store import Document, Stored

WAITING: Final = "waiting"
CALLED_MAX: Final = 50  # batches that one verdict or one tick calls
LOOK_AGAIN_MICROSECONDS: Final = 20_000_000  # less than `mend run` waits for a timer


def waited_for(terms: Terms, ports: Ports) -> Terms | None:
    """The terms with all batches that were waited for; None when the attempt is put by, and will be called."""
    until = _until(terms, ports)
    if until:
        event = terms.event
        document = {
            "batch_id": event.batch_id,
            "pipeline": event.pipeline,
            "seq": event.seq,
            "event_json": event.model_dump_json(),
            "wake_at": until,
            "called": False,
        }
        ports.state.put(WAITING, _key(event), document)
        return None
    if terms.event.attempt > 1 or _is_grown(terms):
        return terms
    # A verdict that came between the reading of the baseline and of the verdicts is seen by the second alone.
    return replace(terms, baseline=baseline_before(terms.event, ports))


def _is_grown(terms: Terms) -> bool:
    """Whether as many batches are known as a comparison reads, whichever of them are examples of a normal one."""
    return len(terms.baseline.keys) >= BASELINE_MAX


def _until(terms: Terms, ports: Ports) -> int:
    """When the attempt is to be looked at again (microseconds), 0 when it may be judged now."""
    event, now = terms.event, ports.clock.now()
    if event.attempt > 1 or event.problem or not terms.arrived or _is_grown(terms):
        return 0
    settled = terms.arrived + _micros(ports.limits.settle_seconds)
    if len(terms.baseline.normal().keys) < BASELINE_MIN and now < settled:
        return settled
    last = terms.arrived + _micros(ports.limits.wait_seconds)
    if now >= last or not _expected_before(terms, ports, now):
        return 0
    return min(now + LOOK_AGAIN_MICROSECONDS, last)


def _expected_before(terms: Terms, ports: Ports, now: int) -> bool:
    """Whether an earlier delivery of the pipeline may soon be one to compare with.

    That it has no verdict is read so that one which comes until the commit runs the handler again. A verdict that does
    not see this batch wait, because both were under way at once, is why there is a timer too.
    """
    where = (Where("pipeline", "==", terms.event.pipeline), Where("seq", "<", terms.event.seq))
    before = ports.state.query("deliveries", where, order_by="seq", descending=True, limit=BASELINE_MAX)
    judged = {place.batch_id for place in terms.baseline.places}
    since = now - _micros(ports.limits.wait_seconds)
    return any(
        _is_expected(each.key, ports)
        for each in before
        if each.key not in judged and _is_to_be_judged(each.data, since)
    )


def _is_to_be_judged(delivery: Document, since: int) -> bool:
    """False for what has no rows to judge, a repetition or one that was not read to its end, and for older ones."""
    without_rows = delivery.get("duplicate_of") or delivery.get("held_above")
    return not without_rows and int(delivery.get("registered_at") or 0) > since


def _is_expected(batch_id: str, ports: Ports) -> bool:
    """True for a batch without a verdict, and for one that could not be judged while that is being mended.

    One that was judged and held is no example of a normal batch, whatever becomes of it. Nobody waits for what a person
    is asked, or what must be delivered anew.
    """
    first = ports.state.get(VERDICTS, f"{batch_id}:1")
    if first is None:
        return True
    if first["state"] == VerdictState.RELEASED or first["dimensions"]:
        return False
    healing = ports.state.get("healings", batch_id)
    if healing is None:
        return bool(first["incidents"])  # nobody has looked at it yet
    newest = next((each for each in reversed(healing["attempts"]) if each["state"] != "withdrawn"), None)
    diagnosed = newest is not None and newest["verdict"] and len(newest["classified"]) >= newest["incidents"]
    return not healing["superseded_by"] and (healing["flight"] is not None or not diagnosed)


def called_by_verdict(terms: Terms, ports: Ports, *, waited: bool) -> list[Event]:
    """After a verdict, who waits: the next in order, or many when there is all that a comparison takes.

    Where nobody can wait any more nobody is looked for, unless the judged one waited itself.
    """
    event = terms.event
    if _is_grown(terms) and not waited:
        return []
    where = (Where("pipeline", "==", event.pipeline), Where("seq", ">", event.seq))
    most = CALLED_MAX if _is_grown(terms) else 1
    found = ports.state.query(WAITING, where, order_by="seq", limit=most)
    return [_call(each, event, ports) for each in found if not each.data["called"]]


def called_by_clock(tick: Event, ports: Ports) -> list[Event]:
    """Those whose time has come, or that nobody has called for a while; of many, each pipeline's first among them."""
    now = ports.clock.now()
    due = (Where("wake_at", ">", 0), Where("wake_at", "<=", now))
    found = ports.state.query(WAITING, due, order_by="wake_at", limit=CALLED_MAX)
    called = {each.key: each for each in found}
    for pipeline in sorted({str(each.data["pipeline"]) for each in found}):
        first = ports.state.query(WAITING, (Where("pipeline", "==", pipeline),), order_by="seq", limit=1)
        called |= {each.key: each for each in first if 0 < each.data["wake_at"] <= now}
    return [_call(each, tick, ports) for each in called.values()]


def _call(waiting: Stored, cause: Event, ports: Ports) -> Event:
    """The event by which it is looked at again. Who has been called needs no timer: the bus keeps the event."""
    ports.state.put(WAITING, waiting.key, {**waiting.data, "called": True, "wake_at": 0})
    event = _staged(waiting.data)
    fields = {name: getattr(event, name) for name in ("batch_id", "pipeline", "attempt")}
    due = BatchDue.caused_by(cause, waiting.key, ports.clock.now(), subject=event.batch_id, **fields)
    # It goes on with the batch's own story, whoever called it.
    return due.model_copy(update={name: getattr(event, name) for name in ("correlation_id", "traceparent")})


def put_by(due: BatchDue, ports: Ports) -> BatchStaged | None:
    """What was staged then; None when it has been judged. It waits no more, unless ``wait`` says so again."""
    key = _key(due)
    document = ports.state.get(WAITING, key)
    if document is None:
        return None
    ports.state.delete(WAITING, key)
    return _staged(document)


def _staged(document: Document) -> BatchStaged:
    return BatchStaged.model_validate_json(document["event_json"])


def _key(event: BatchStaged | BatchDue) -> str:
    return f"{event.batch_id}:{event.attempt}"


def _micros(seconds: float) -> int:
    return int(seconds * 1_000_000)

"""What has been told: a document per message, and one per family and hour that counts what was not told singly.

```
messages/{key} = {kind: "message", key, event_id, incident_id, batch_id, pipeline, family, told_at,
  state,          # sent | collapsed (counted in its family) | pending (a channel refused) | lost (given up)
  channels: {name: sent | pending | lost}, tries, wake_at,
  notice: {…} while it is pending, else null}
messages/family:{family}:{hour} = {kind: "family", family, pipeline, hour, first, others, told_others, wake_at: 0}
```
"""

from __future__ import annotations

from typing import Any, Final

from services.notify.telling import Telling
from shared.ports.channel import Notice
from shared.ports.state import State
from shared.ports.state_store import Document, Stored, Where

MESSAGES: Final = "messages"
TRIES_MAX: Final = 6
DUE_MAX: Final = 50
_HOUR_MICROS: Final = 3_600_000_000
_WAITS_SECONDS: Final = (60, 300, 900, 3_600, 14_400)
_WAIT_SECONDS_MAX: Final = 86_400


def family_key(family: str, hour: int) -> str:
    """Key of a family's count in an hour."""
    return f"family:{family}:{hour}"


def told(state: State, key: str) -> bool:
    """True when the message was told, or counted in its family."""
    return state.get(MESSAGES, key) is not None


def counted(state: State, telling: Telling, now: int) -> tuple[bool, int]:
    """Count the message into its family's hour: (is it to be sent, how many others were not told singly).

    The first of an hour is sent, and with it the number that the hour before left untold; then the 10th, 100th …
    """
    hour = now // _HOUR_MICROS
    key = family_key(telling.family, hour)
    found = state.get(MESSAGES, key)
    if found is None:
        before = state.get(MESSAGES, family_key(telling.family, hour - 1)) or {"others": 0, "told_others": 0}
        fresh = {
            "kind": "family",
            "family": telling.family,
            "pipeline": telling.pipeline,
            "hour": hour,
            "first": telling.key,
            "others": 0,
            "told_others": 0,
            "wake_at": 0,
        }
        state.put(MESSAGES, key, fresh)
        return True, int(before["others"]) - int(before["told_others"])
    found["others"] += 1
    others = int(found["others"])
    again = others >= 10 and str(others).strip("0") == "1"
    if again:
        found["told_others"] = others
    state.put(MESSAGES, key, found)
    return again, others if again else 0


def written(telling: Telling, event_id: str, now: int) -> Document:
    """The message's document before anything was sent."""
    return {
        "kind": "message",
        "key": telling.key,
        "event_id": event_id,
        "incident_id": telling.incident_id,
        "batch_id": telling.batch_id,
        "pipeline": telling.pipeline,
        "family": telling.family,
        "told_at": now,
        "state": "collapsed",
        "channels": {},
        "tries": 0,
        "wake_at": 0,
        "notice": None,
    }


def settle(message: Document, results: dict[str, str], notice: Notice, now: int, wait_seconds: float) -> None:
    """Write what the channels said: what one refused is tried again later, in the end given up."""
    message["tries"] += 1
    message["channels"] = {**message["channels"], **results}
    refused = sorted(name for name, result in results.items() if result == "pending")
    if not refused:
        states = set(message["channels"].values())
        message.update(state="lost" if "lost" in states else "sent", wake_at=0, notice=None)
    elif message["tries"] >= TRIES_MAX:
        message["channels"].update(dict.fromkeys(refused, "lost"))
        message.update(state="lost", wake_at=0, notice=None)
    else:
        backoff = _WAITS_SECONDS[min(message["tries"], len(_WAITS_SECONDS)) - 1]
        wait = min(max(backoff, wait_seconds), _WAIT_SECONDS_MAX)
        shown = {**notice._asdict(), "facts": [list(fact) for fact in notice.facts]}
        message.update(state="pending", wake_at=now + int(wait * 1_000_000), notice=shown)


def notice_of(shown: dict[str, Any]) -> Notice:
    """The notice as it was written down."""
    return Notice(**{**shown, "facts": tuple((str(name), str(value)) for name, value in shown["facts"])})


def due(state: State, now: int) -> list[Stored]:
    """Pending messages whose time has come, the earliest first."""
    wheres = [Where("wake_at", ">", 0), Where("wake_at", "<=", now)]
    return state.query(MESSAGES, wheres, order_by="wake_at", limit=DUE_MAX)

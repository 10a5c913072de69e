"""Entries of the knowledge base, with every earlier version; a text is kept as text and never anything else.

```
knowledge/entry:{entry_id} = {kind: "entry", entry_id, entry_kind, title, text, cause, pipeline, source, withdrawn,
  by, at, version, alike}                              # as it holds now; found by the words of its title
knowledge/version:{entry_id}:{0001 …} = the same with kind: "version", alike: ""   # as it was before
```
"""

from __future__ import annotations

from typing import Final

from services.classify.judged import KNOWLEDGE
from services.classify.noted import alike
from shared.events.types import KnowledgeNoted
from shared.ports.state import State
from shared.ports.state_store import Document

_CONTENT: Final = ("title", "text", "cause", "pipeline", "withdrawn")


def entry_key(entry: str) -> str:
    """Key of an entry as it holds now."""
    return f"entry:{entry}"


def version_key(entry: str, version: int) -> str:
    """Key of an earlier version of an entry."""
    return f"version:{entry}:{version:04}"


def note(state: State, event: KnowledgeNoted) -> None:
    """Keep an entry; the same content changes nothing, another one makes a new version."""
    noted: Document = {
        "kind": "entry",
        "entry_id": event.entry_id,
        "entry_kind": event.kind,
        **{name: getattr(event, name) for name in (*_CONTENT, "source", "by")},
        "at": event.time,
        "version": 1,
        "alike": alike(event.title),
    }
    now = state.get(KNOWLEDGE, entry_key(event.entry_id))
    if now is None:
        state.put(KNOWLEDGE, entry_key(event.entry_id), noted)
        return
    if {name: now[name] for name in _CONTENT} == {name: noted[name] for name in _CONTENT}:
        if now.get("alike") != noted["alike"]:  # kept before an entry could vote
            state.put(KNOWLEDGE, entry_key(event.entry_id), {**now, "alike": noted["alike"]})
        return
    # One that comes late, written before what holds now, becomes an earlier version.
    newer, older = (noted, now) if event.time >= now["at"] else (now, noted)
    number = now["version"]
    earlier = {**older, "kind": "version", "version": number, "alike": ""}
    state.put(KNOWLEDGE, version_key(event.entry_id, number), earlier)
    state.put(KNOWLEDGE, entry_key(event.entry_id), {**newer, "version": number + 1})

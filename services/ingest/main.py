"""Entry points of ingest: pushes, outside signals, and the scheduler's ticks."""

from __future__ import annotations

import functions_framework
from flask import Request

from services.ingest.handlers import SERVICE
from shared.ports.event_bus import REQUESTS_TOPIC, SIGNALS_TOPIC
from shared.runtime import http, wiring


@functions_framework.http
def ingest(request: Request) -> tuple[str, int]:
    """Answer one push: 204 acknowledges it, 503 asks for it again."""
    return http.answer(SERVICE, wiring.process().runtime(), request)


@functions_framework.http
def signals(request: Request) -> tuple[str, int]:
    """``POST /signals/{kind}``: another system reports a failure (kinds: ``services/ingest/signals.py``)."""
    process = wiring.process()
    new_id, judge = process.ids.new(), process.callers.judge
    return http.take_in(SERVICE, process.runtime(), SIGNALS_TOPIC, request, new_id, judge)


@functions_framework.http
def due(request: Request) -> tuple[str, int]:
    """``POST /due``: a scheduler says that a pipeline's source should be looked at."""
    process = wiring.process()
    return http.take_in(SERVICE, process.runtime(), REQUESTS_TOPIC, request, process.ids.new())


@functions_framework.http
def tick(request: Request) -> tuple[str, int]:
    """``POST /tick``: a scheduler says that a minute has passed, so that timers ring."""
    process = wiring.process()
    return http.ticked(process.bus, process.clock.now(), request)

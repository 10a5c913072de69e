"""Entry points of notify: pushes, and the scheduler that wants to know how things stand."""

from __future__ import annotations

import functions_framework
from flask import Request

from services.notify.gauges import gauges
from services.notify.handlers import SERVICE
from services.notify.overdue import overdue
from shared.ports.gauges import Gauge
from shared.ports.state_store import StateStore
from shared.runtime import http, wiring


@functions_framework.http
def notify(request: Request) -> tuple[str, int]:
    """Answer one push: 204 acknowledges it, 503 asks for it again."""
    return http.answer(SERVICE, wiring.process().runtime(), request)


@functions_framework.http
def measure(request: Request) -> tuple[str, int]:
    """``POST /measure``: write how things stand where it is charted; only one caller may do so at a time."""
    process = wiring.process()

    def found(state: StateStore, now: int) -> list[Gauge]:
        return [*gauges(state, now), *overdue(state, process.definitions, process.metrics, now)]

    return http.measured(process.store, process.gauges(), process.clock.now(), found, request)

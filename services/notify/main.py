"""Entry point of the function ``notify``: Pub/Sub pushes and CloudEvents come in here."""

from __future__ import annotations

import functions_framework
from flask import Request

from services.notify.handlers import SERVICE
from shared.runtime import http, wiring


@functions_framework.http
def notify(request: Request) -> tuple[str, int]:
    """Answer one push: 204 acknowledges it, 503 asks for it again."""
    return http.answer(SERVICE, wiring.process().runtime(), request)

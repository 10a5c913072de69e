"""All services, for the one process that runs them together."""

from __future__ import annotations

from shared.runtime.service import Service


def every_service() -> list[Service]:
    """The six services of the loop; their engines are loaded when a handler first needs them."""
    from services.classify.handlers import SERVICE as CLASSIFY
    from services.ingest.handlers import SERVICE as INGEST
    from services.load.handlers import SERVICE as LOAD
    from services.notify.handlers import SERVICE as NOTIFY
    from services.remediate.handlers import SERVICE as REMEDIATE
    from services.validate.handlers import SERVICE as VALIDATE

    return [INGEST, VALIDATE, LOAD, CLASSIFY, REMEDIATE, NOTIFY]


def timed_collections() -> list[str]:
    """The collections whose documents may have a moment at which something is to be done."""
    return [collection for service in every_service() for collection in service.timers]

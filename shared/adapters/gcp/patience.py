"""How long a call by gRPC may last: left to themselves, Google's clients try it again for up to ten minutes."""

from __future__ import annotations

from typing import Any, Final

# Pub/Sub gives up a push after ten minutes and delivers it again: who cannot reach something says so long before.
CALL_SECONDS: Final = 30.0  # in all; its last try begins well before
_TRIED_SECONDS: Final = 20.0
_PAUSE_SECONDS_MAX: Final = 4.0


def briefly(*, twice: bool) -> dict[str, Any]:
    """The call's ``timeout`` and ``retry``; ``twice``: what perhaps was done already may be done once more."""
    from google.api_core import exceptions, retry

    kinds: list[type[Exception]] = [exceptions.ResourceExhausted, exceptions.ServiceUnavailable]
    if twice:
        kinds += [exceptions.Aborted, exceptions.Cancelled, exceptions.DeadlineExceeded]
        kinds += [exceptions.InternalServerError, exceptions.Unknown]
    again = retry.Retry(
        predicate=retry.if_exception_type(*kinds),
        initial=0.1,
        maximum=_PAUSE_SECONDS_MAX,
        multiplier=1.3,
        timeout=_TRIED_SECONDS,
    )
    return {"timeout": CALL_SECONDS, "retry": again}

"""What each of Google's errors means to us, by class and by BigQuery's reason: the one table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from shared.domain.errors import (
    Conflict,
    ForeignFailure,
    MendError,
    TransientError,
    WarehouseBusy,
    WarehouseUnavailable,
)
from shared.domain.masking import mask
from shared.ports.warehouse import OVER_QUOTA

Meaning = Literal["unavailable", "conflict", "refused", "absent"]

# By the name of the class; a subclass that is not here means what its base means, and a test says that none is missing.
#   unavailable  ours is out of reach, or not set up yet: deliver again. A permission that lacks is given by a person,
#                and what waits then goes on; an incident could not be written without the store anyway.
#   conflict     somebody else was faster
#   absent       there is no such thing
#   refused      the same request will be refused again
MEANINGS: Final[dict[str, Meaning]] = {
    "Aborted": "conflict",
    "AlreadyExists": "conflict",
    "BadGateway": "unavailable",
    "BadRequest": "refused",
    "Cancelled": "unavailable",
    "ClientError": "refused",
    "Conflict": "conflict",
    "DataLoss": "unavailable",
    "DeadlineExceeded": "unavailable",
    "DuplicateCredentialArgs": "refused",
    "FailedPrecondition": "conflict",
    "Forbidden": "unavailable",
    "GatewayTimeout": "unavailable",
    "GoogleAPICallError": "unavailable",
    "GoogleAPIError": "unavailable",
    "InternalServerError": "unavailable",
    "InvalidArgument": "refused",
    "LengthRequired": "refused",
    "MethodNotAllowed": "refused",
    "MethodNotImplemented": "refused",
    "MissingStatusHeaderError": "unavailable",
    "MovedPermanently": "unavailable",
    "NotFound": "absent",
    "NotModified": "unavailable",
    "OutOfRange": "refused",
    "PermissionDenied": "unavailable",
    "PreconditionFailed": "conflict",
    "Redirection": "unavailable",
    "RequestRangeNotSatisfiable": "refused",
    "ResourceExhausted": "unavailable",
    "ResumableTransferError": "unavailable",
    "ResumeIncomplete": "unavailable",
    "RetryError": "unavailable",
    "ServerError": "unavailable",
    "ServiceUnavailable": "unavailable",
    "TemporaryRedirect": "unavailable",
    "TooManyRequests": "unavailable",
    "TransferStalledError": "unavailable",
    "Unauthenticated": "unavailable",
    "Unauthorized": "unavailable",
    "Unknown": "unavailable",
    "UnseekableStreamError": "unavailable",
    "UploadCancelledError": "unavailable",
}

# BigQuery's reasons: True = our warehouse is out of reach for now, False = it refuses, which is an incident.
REASONS: Final[dict[str, bool]] = {
    "accessDenied": False,
    "backendError": True,
    "badGateway": True,
    "billingNotEnabled": False,
    "billingTierLimitExceeded": False,
    "blocked": False,
    "bytesBilledLimitExceeded": False,
    "duplicate": True,
    "internalError": True,
    "invalid": False,
    "invalidQuery": False,
    "invalidUser": False,
    "jobBackendError": True,
    "jobInternalError": True,
    "jobRateLimitExceeded": True,
    "notFound": False,
    "notImplemented": False,
    "policyViolation": False,
    "proxyAuthenticationRequired": False,
    OVER_QUOTA: False,
    "rateLimitExceeded": True,
    "resourceInUse": True,
    "resourcesExceeded": False,
    "responseTooLarge": False,
    "stopped": True,
    "tableUnavailable": True,
    "timeout": True,
}
_BUSY: Final = ("jobRateLimitExceeded", "rateLimitExceeded")  # of jobs and of changes of a table
# What a status says when no reason came with it.
_OF_STATUS: Final[dict[int, str]] = {400: "invalid", 401: "accessDenied", 403: "accessDenied", 404: "notFound"}
SYSTEM: Final = "bigquery"


def meaning_of(error: BaseException) -> Meaning:
    """What a vendor's error means; what is not in the table is out of reach (network, credentials)."""
    for kind in type(error).__mro__:
        if kind.__name__ in MEANINGS:
            return MEANINGS[kind.__name__]
    return "unavailable"


def vendor_errors() -> tuple[type[Exception], ...]:
    """The roots of everything that Google's clients raise."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    return (GoogleAPIError, GoogleAuthError, ConnectionError, TimeoutError)


def web_errors() -> tuple[type[Exception], ...]:
    """Those of the clients that speak HTTP: what a dropped connection raises comes through as it is."""
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
    from requests.exceptions import RequestException

    return (*vendor_errors(), RequestException, InvalidResponse, DataCorruption)


def translated(error: Exception, what: str, unavailable: type[TransientError]) -> MendError:
    """Our error for one of a vendor's, where our own store, bus or files are concerned."""
    message = f"{what}: {type(error).__name__}: {mask(str(error), 300)}"
    meaning = meaning_of(error)
    if meaning == "conflict":
        return Conflict(message)
    # Refused and absent as well: a topic or database that is missing is made by a deployment, and the event waits.
    return unavailable(message)


@contextmanager
def translating(what: str, unavailable: type[TransientError]) -> Iterator[None]:
    """Errors of Google's gRPC clients leave this context as ours."""
    try:
        yield
    except vendor_errors() as error:
        raise translated(error, what, unavailable) from error


def of_bigquery(error: Exception, unavailable: type[TransientError]) -> MendError:
    """Our error for one of BigQuery's: out of reach for now, or refused with its reason and no cells.

    A client that has tried again in vain raises an error of its own around the last answer, which is what counts.
    """
    from google.api_core.exceptions import RetryError

    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        return of_bigquery(error.cause, unavailable)
    reason, status = reason_of(error)
    kind = type(error).__name__
    if REASONS.get(reason, status == 0 or status >= 500):
        busy = reason in _BUSY and unavailable is WarehouseUnavailable
        return (WarehouseBusy if busy else unavailable)(f"{kind} {reason}: {mask(str(error), 300)}")
    return ForeignFailure(
        without_cells(str(getattr(error, "message", error))),
        system=SYSTEM,
        exception_type=kind,
        http_status=status,
        reason=reason,
    )


def reason_of(error: Exception) -> tuple[str, int]:
    """BigQuery's reason and HTTP status; ("", 0) for an error that never reached it."""
    status = int(getattr(error, "code", 0) or 0)
    for each in getattr(error, "errors", None) or ():
        if isinstance(each, dict) and each.get("reason"):
            return str(each["reason"]), status
    return _OF_STATUS.get(status, ""), status


def without_cells(message: str) -> str:
    """BigQuery quotes cells after «value», «'» and «"»; the first line up to there says what was wrong and where."""
    first = message.strip().split("\n")[0]
    for mark in ("'", '"', "value:", "Value:", "value ", "Value "):
        at = first.find(mark)
        if at >= 0:
            first = first[:at] + "…"
    return mask(first)

"""The table of Google's errors: complete, and cells stay out of what it makes."""

import inspect
from types import ModuleType

import pytest
from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.auth.exceptions import RefreshError, TransportError
from google.cloud.bigquery.job.base import _ERROR_REASON_TO_EXCEPTION
from google.cloud.bigquery.retry import _RETRYABLE_REASONS
from google.cloud.storage import exceptions as storage_exceptions
from requests.exceptions import ConnectionError as RequestsConnectionError

from shared.adapters.gcp.errors import MEANINGS, REASONS, meaning_of, of_bigquery, reason_of, translated, web_errors
from shared.domain.errors import (
    Conflict,
    ForeignFailure,
    MendError,
    ObjectsUnavailable,
    StoreUnavailable,
    WarehouseBusy,
    WarehouseUnavailable,
)

CLASSES = {
    name: kind
    for name, kind in vars(exceptions).items()
    if inspect.isclass(kind) and issubclass(kind, exceptions.GoogleAPIError)
}


def made(kind: type[Exception]) -> Exception:
    return kind("no", None) if kind is exceptions.RetryError else kind("no")  # type: ignore[call-arg]


def test_every_error_of_the_clients_has_a_meaning() -> None:
    named = {kind.__name__ for kind in CLASSES.values()}
    assert named == MEANINGS.keys(), "google.api_core.exceptions and the table differ: say what the new ones mean"


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_each_becomes_one_of_ours(name: str) -> None:
    error = translated(made(CLASSES[name]), "document x", StoreUnavailable)
    assert isinstance(error, Conflict if MEANINGS[CLASSES[name].__name__] == "conflict" else StoreUnavailable)
    assert str(error).startswith("document x: ")


@pytest.mark.parametrize(
    "error", [RefreshError("x"), TransportError("x"), RequestsConnectionError("x"), TimeoutError()]
)
def test_what_is_not_in_the_table_is_out_of_reach(error: Exception) -> None:
    assert meaning_of(error) == "unavailable"
    assert isinstance(error, web_errors())
    assert isinstance(translated(error, "object a", ObjectsUnavailable), ObjectsUnavailable)
    assert isinstance(of_bigquery(error, WarehouseUnavailable), WarehouseUnavailable)


def test_every_reason_that_the_client_knows_has_a_meaning() -> None:
    """What the client itself would try again is out of reach for now to us too."""
    assert _ERROR_REASON_TO_EXCEPTION.keys() | _RETRYABLE_REASONS <= REASONS.keys()
    assert all(REASONS[reason] for reason in _RETRYABLE_REASONS)
    for_good = {name for name, status in _ERROR_REASON_TO_EXCEPTION.items() if status in (403, 404, 501)}
    assert not any(REASONS[reason] for reason in for_good)


def made_of(module: ModuleType) -> list[type[Exception]]:
    """The errors that a module defines; those without a message of their own are roots of others."""
    found = [kind for kind in vars(module).values() if inspect.isclass(kind) and issubclass(kind, Exception)]
    return [kind for kind in found if kind.__module__ == module.__name__]


@pytest.mark.parametrize(
    "kind",
    [*made_of(auth_exceptions), *(kind for kind in made_of(storage_exceptions) if kind.__name__ != "InvalidPathError")],
    ids=lambda kind: f"{kind.__module__}.{kind.__name__}",
)
def test_credentials_and_files_that_cannot_be_had_are_out_of_reach(kind: type[Exception]) -> None:
    """All but a path that ``transfer_manager`` refuses, which is not used here."""
    error = kind("response", "no") if kind.__name__ in ("InvalidResponse", "DataCorruption") else kind("no")
    assert isinstance(error, web_errors())
    assert isinstance(translated(error, "object a", ObjectsUnavailable), ObjectsUnavailable)


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_of_bigquery(reason: str) -> None:
    error = exceptions.BadRequest("no", errors=[{"reason": reason}])
    found = of_bigquery(error, WarehouseUnavailable)
    assert isinstance(found, WarehouseUnavailable if REASONS[reason] else ForeignFailure)
    if isinstance(found, ForeignFailure):
        assert (found.reason, found.http_status, found.system) == (reason, 400, "bigquery")


@pytest.mark.parametrize("reason", ["jobRateLimitExceeded", "rateLimitExceeded"])
def test_a_warehouse_that_has_had_its_jobs_is_busy_however_often_the_client_tried(reason: str) -> None:
    answer = exceptions.Forbidden("Exceeded rate limits", errors=[{"reason": reason}])
    for error in (answer, exceptions.RetryError("Timeout of 60.0s exceeded", answer)):
        assert isinstance(of_bigquery(error, WarehouseUnavailable), WarehouseBusy)
        assert not isinstance(of_bigquery(error, ObjectsUnavailable), WarehouseBusy)  # a table that is only read


def test_what_the_client_tried_again_in_vain_is_what_it_last_heard() -> None:
    never = of_bigquery(exceptions.RetryError("Timeout", ConnectionError("refused")), WarehouseUnavailable)
    assert isinstance(never, WarehouseUnavailable)
    assert not isinstance(never, WarehouseBusy)


def test_a_status_without_a_reason() -> None:
    assert reason_of(exceptions.NotFound("x")) == ("notFound", 404)
    assert isinstance(of_bigquery(exceptions.InternalServerError("x"), WarehouseUnavailable), WarehouseUnavailable)
    refused: MendError = of_bigquery(exceptions.BadRequest("x", errors=[{"reason": "a new one"}]), WarehouseUnavailable)
    assert isinstance(refused, ForeignFailure)
    assert refused.reason == "a new one"


@pytest.mark.parametrize(
    "message",
    [
        "Bad int64 value: jane.doe",
        "Could not convert string 'jane.doe' to INT64",
        'Invalid date: "jane.doe"\nmore about jane.doe',
        "Error while reading data, error message: Could not parse value jane.doe",
    ],
)
def test_cells_stay_out(message: str) -> None:
    error = of_bigquery(exceptions.BadRequest(message, errors=[{"reason": "invalid"}]), WarehouseUnavailable)
    assert "jane" not in str(error)

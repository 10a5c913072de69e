"""What each of DuckDB's errors means to us, by class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shared.domain.errors import ForeignFailure, MendError, WarehouseUnavailable
from shared.domain.masking import mask

SYSTEM: Final = "duckdb"

# "" = unavailable for now; otherwise the reason, in the words that BigQuery uses for the same refusal.
REASONS: Final[dict[str, str]] = {
    "BinderException": "invalidQuery",
    "CatalogException": "notFound",
    "ConnectionException": "",
    "ConstraintException": "invalid",
    "ConversionException": "invalid",
    "DataError": "invalid",
    "DatabaseError": "",
    "DependencyException": "invalid",
    "Error": "",
    "FatalException": "",
    "HTTPException": "accessDenied",
    "IOException": "",
    "IntegrityError": "invalid",
    "InternalError": "",
    "InternalException": "",
    "InterruptException": "",
    "InvalidInputException": "invalid",
    "InvalidTypeException": "invalid",
    "NotImplementedException": "notImplemented",
    "NotSupportedError": "notImplemented",
    "OperationalError": "",
    "OutOfMemoryException": "resourcesExceeded",
    "OutOfRangeException": "invalid",
    "ParserException": "invalidQuery",
    "PermissionException": "accessDenied",
    "ProgrammingError": "invalidQuery",
    "ResourceInUseException": "",
    "SequenceException": "invalid",
    "SerializationException": "",
    "SyntaxException": "invalidQuery",
    "TransactionException": "",
    "TypeMismatchException": "invalid",
}

# After these the database object in memory is of no use any more.
DAMAGING: Final = frozenset({"FatalException", "InternalException", "InternalError", "IOException"})


_OF_THE_SYSTEM: Final = frozenset({"ConnectionException", "IOException", "OutOfMemoryException"})
_FROM_QUOTE: Final = re.compile(r"['\"`].*", re.DOTALL)
_NUMBER: Final = re.compile(r"(?<![\w.])[-+]?\d[\d.,:eE+-]*")


def refused(reason: str, message: str, exception_type: str = "") -> ForeignFailure:
    """The failure of a warehouse that says no for good; ``message`` may hold names, never cells."""
    return ForeignFailure(mask(message), system=SYSTEM, reason=reason, exception_type=exception_type)


def translated(error: Exception) -> MendError:
    """Our error for one of DuckDB's."""
    kind = type(error).__name__
    reason = REASONS.get(kind, "")
    # Those of the system quote paths and say after them what is wrong: no space, no permission.
    message = str(error) if kind in _OF_THE_SYSTEM else _without_cells(str(error))
    if reason:
        return refused(reason, message, kind)
    return WarehouseUnavailable(mask(f"{kind}: {message}"))


def _without_cells(message: str) -> str:
    """DuckDB quotes cells without escaping them: no end of a quotation can be trusted, and numbers stand bare."""
    return _NUMBER.sub("…", _FROM_QUOTE.sub("'…'", message))


@contextmanager
def translating() -> Iterator[None]:
    """DuckDB's errors leave this context as ours."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise translated(error) from None

"""Every error Mendline raises, and whether redelivery can help.

MendError
├── TerminalError                 redelivery cannot help: an incident at once, the event is acknowledged
│   ├── MalformedEvent            bytes that are no event of ours
│   ├── DefinitionError           a pipeline, contract or policy file is wrong (file, line, column, hint)
│   ├── DefinitionMissing         a file that something refers to is not there
│   ├── InvariantBroken           a check() of ours failed: a bug, never data
│   ├── OwnershipRefused          a service wrote to another service's collection
│   ├── StoreTooNew               the store was made by a newer version
│   ├── StoreDamaged              the store's file is not readable as a store
│   └── LimitExceeded             something is larger than the port says it may be
├── TransientError                our own bus, store, warehouse or object store: deliver again, with backoff
│   ├── Conflict                  somebody else changed what was read
│   ├── StoreUnavailable          state store or bus
│   ├── ObjectsUnavailable        object store
│   └── WarehouseUnavailable      warehouse, or its lock held by another process
│       └── WarehouseBusy         the warehouse has had its number of jobs for now
└── ForeignFailure                a source, destination or foreign system failed: always an incident
"""

from __future__ import annotations


class MendError(Exception):
    """Root of all errors raised on purpose."""


class TerminalError(MendError):
    """Delivering the same event again cannot help."""


class TransientError(MendError):
    """Our own infrastructure said no; delivering the event again later may help."""


class MalformedEvent(TerminalError):
    """The bytes are not an event of ours."""


class DefinitionError(TerminalError):
    """A file that a user writes is wrong.

    ``line`` and ``column`` count from 1; 0 means unknown. ``hint`` says what to do.
    """

    def __init__(self, path: str, line: int, column: int, message: str, hint: str = "") -> None:
        self.path = path
        self.line = line
        self.column = column
        self.message = message
        self.hint = hint
        place = path if line < 1 else f"{path}:{line}" if column < 1 else f"{path}:{line}:{column}"
        super().__init__(f"{place}: {message}" + (f" ({hint})" if hint else ""))


class DefinitionMissing(TerminalError):
    """A definition file that something refers to does not exist."""


class InvariantBroken(TerminalError):
    """A condition that must always hold did not: a bug in Mendline."""


class OwnershipRefused(TerminalError):
    """A service tried to write a collection that another service owns."""


class StoreTooNew(TerminalError):
    """The store was written by a newer version of Mendline."""


class StoreDamaged(TerminalError):
    """The store's file cannot be read as a store."""


class LimitExceeded(TerminalError):
    """Something is larger than a port's limits allow."""


class Conflict(TransientError):
    """A document changed between being read and being written."""


class StoreUnavailable(TransientError):
    """The state store or the bus cannot be reached or written now."""


class ObjectsUnavailable(TransientError):
    """The object store cannot be reached or written now."""


class WarehouseUnavailable(TransientError):
    """The warehouse cannot be reached now, or another process holds its lock."""


class WarehouseBusy(WarehouseUnavailable):
    """The warehouse takes no more changes of a table for now: what waits may be loaded together."""


class ForeignFailure(MendError):
    """A source, a destination or a foreign system failed; it always becomes an incident.

    The structured fields are the evidence the classifier reads first; an absent one is "" or 0.
    ``message`` must have passed through ``shared.domain.masking.mask``.
    """

    def __init__(
        self,
        message: str,
        *,
        system: str,
        exception_type: str = "",
        http_status: int = 0,
        grpc_status: str = "",
        sqlstate: str = "",
        reason: str = "",
        exit_code: int = 0,
    ) -> None:
        self.message = message
        self.system = system
        self.exception_type = exception_type
        self.http_status = http_status
        self.grpc_status = grpc_status
        self.sqlstate = sqlstate
        self.reason = reason
        self.exit_code = exit_code
        super().__init__(f"{system}: {message}")

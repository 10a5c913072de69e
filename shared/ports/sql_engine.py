"""Runs a user's row-wise SQL over rows in memory, away from files, network and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class SqlEngine(Protocol):
    """The SQL has passed ``services.load.transform``; the engine must be shut in all the same."""

    def select(self, sql: str, batch: pa.Table) -> pa.Table:
        """The rows of a GoogleSQL ``SELECT … FROM batch``, in any order.

        Raises ``TerminalError`` (message masked) when a row makes the SQL fail or when the SQL is wrong.
        """

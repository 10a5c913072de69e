"""Runs SQL that people wrote over rows in memory, away from files, network and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class SqlEngine(Protocol):
    """The SQL was checked by the service that runs it; the engine must be shut in all the same."""

    def select(self, sql: str, batch: pa.Table) -> pa.Table:
        """The rows of a GoogleSQL ``SELECT … FROM batch``, in any order.

        Raises ``TerminalError`` (message masked) when a row makes the SQL fail or when the SQL is wrong.
        """

    def values(
        self, queries: Sequence[str], rows: Iterable[pa.Table], others: Mapping[str, pa.Table] | None = None
    ) -> list[Any]:
        """The single value of each GoogleSQL query over all ``rows`` together, which are the table ``batch``.

        ``others`` are further tables by their names, which have lower-case letters, digits and _ only.
        Raises ``TerminalError`` (message masked) when a query is wrong, fails, or gives anything but one value, and
        when the rows do not fit into the engine's memory. There is at least one table, which may be empty.
        """

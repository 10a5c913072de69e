"""The jobs that bring an attempt's rows into a table: their ids, and how it is made sure that one is never done."""

from __future__ import annotations

from shared.domain import ids
from shared.ports.warehouse import Layout, LoadJob, Warehouse


def own_id(table: str, batch_id: str, attempt: int) -> str:
    """The id of the job that brings one attempt and nothing else."""
    return f"load-{ids.derive(table, batch_id, attempt)}"


def shared_id(group: str) -> str:
    """The id of the job that brings the attempts of a group."""
    return f"load-together-{group}"


def settled(job_id: str, table: str, layout: Layout, warehouse: Warehouse) -> int:
    """The rows that the job has brought; 0 when it has brought none, and then it never will.

    A job under its id that brings no rows makes it one that was done before, also for who is just about to do it.
    """
    nothing = LoadJob(job_id, table, "append", (), (), (), "", "", layout)
    return warehouse.run(nothing).rows

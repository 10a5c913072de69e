"""The order key of a delivery, and whether its content has been here before."""

from __future__ import annotations

from typing import Literal, NamedTuple

from shared.domain.ids import derive


class Neighbour(NamedTuple):
    """What is known of another delivery of the pipeline."""

    batch_id: str
    sha256: str


def seq_of(order: Literal["name", "arrival"], name: str, arrived: int, uri: str, generation: str) -> str:
    """``_mend_seq``: by name then arrival, or by arrival then name; the last part keeps equal ones apart.

    The separator is a space, which sorts before every other printable character, so that ``day`` precedes ``day-2``.
    """
    mark = derive(uri, generation, length=8)
    when = f"{arrived:020d}"
    return f"{name} {when} {mark}" if order == "name" else f"{when} {name} {mark}"


def duplicate_of(
    mode: Literal["append", "upsert", "overwrite"],
    sha256: str,
    bytes_delivered: int,
    first: Neighbour | None,
    before: Neighbour | None,
) -> str:
    """The batch that this content repeats, or "".

    append: the ``first`` batch with this content. upsert and overwrite: only the one just ``before`` in order, since
    X, Y, X must end at X. An empty delivery never repeats anything.
    """
    if bytes_delivered == 0:
        return ""
    candidate = first if mode == "append" else before
    return candidate.batch_id if candidate is not None and candidate.sha256 == sha256 else ""

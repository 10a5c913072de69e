"""The order key of a delivery, and whether its content has been here before."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from shared.domain.ids import derive

NAME_CHARACTERS_MAX: Final = 1_000
_SEPARATOR: Final = "\t"  # sorts before whatever a name may hold, so that ``day`` precedes ``day 2`` and ``day-2``
_CONTROL: Final = re.compile(r"[\x00-\x1f]")


class Neighbour(NamedTuple):
    """What is known of another delivery of the pipeline."""

    batch_id: str
    sha256: str


def seq_of(order: Literal["name", "arrival"], name: str, arrived: int, uri: str, generation: str) -> str:
    """``_mend_seq``: by name then arrival, or by arrival then name; the last part keeps equal ones apart.

    Control characters in a name all sort as a space does, and only its first 1,000 characters count.
    """
    mark = derive(uri, generation, length=16)
    when = f"{arrived:020d}"
    shown = _CONTROL.sub(" ", name[:NAME_CHARACTERS_MAX])
    return _SEPARATOR.join((shown, when, mark) if order == "name" else (when, shown, mark))


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

"""One SQL statement through the clients of its database: each words the server's refusal in its own way."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.corpus.cases import Case, CaseFile

_RUN = "run_{client}({case!r})"


def run(
    file: CaseFile,
    envs: Path,
    addresses: dict[str, Any],
    by_python: Callable[[CaseFile, Path, dict[str, Any], Path], Iterator[dict[str, str]]],
) -> Iterator[dict[str, str]]:
    """The cases, each through two of the file's clients, chosen by the statement's hash.

    The file's setup defines ``run_<client>(statement)`` for each of ``clients:``.
    """
    clients = file.heads["clients"].split()
    spread = CaseFile(file.name, {**file.heads, "runner": "python"}, file.setup)
    for each in file.cases:
        first = zlib.crc32(each.case.encode()) % len(clients)
        for client in dict.fromkeys((clients[first], clients[(first + 1) % len(clients)])):
            spread.cases.append(Case(_RUN.format(client=client, case=each.case), each.label, each.system))
    yield from by_python(spread, envs, addresses, Path(addresses.get("full", ".")))

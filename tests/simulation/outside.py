"""The world outside: a source with files, people's channels, definitions, ids; all of them in memory."""

from __future__ import annotations

import fnmatch
import hashlib
import io
import random
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from shared.domain.errors import DefinitionMissing, ForeignFailure
from shared.ports.channel import Notice
from shared.ports.definitions import DefinitionText
from shared.ports.source import Found


class File(NamedTuple):
    """A delivered file and when it arrived (nanoseconds)."""

    content: bytes
    arrived: int


class SimulatedSource:
    """Files by their path; a newer one replaces an older one of the same name."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}

    def discover(self, uri: str) -> Iterator[Found]:
        """Every file that the pattern names, by name."""
        names = sorted(name for name in self.files if fnmatch.fnmatch(name, uri))
        if not names and not set(uri) & set("*?["):
            raise ForeignFailure(f"{uri}: there is no such file", system="files", exception_type="FileNotFoundError")
        for name in names:
            file = self.files[name]
            generation = f"{file.arrived}-{len(file.content)}"
            yield Found(name, name.rpartition("/")[2], generation, len(file.content), file.arrived)

    def open(self, uri: str) -> BinaryIO:
        """The file's bytes."""
        if uri not in self.files:
            raise ForeignFailure(f"{uri}: there is no such file", system="files", exception_type="FileNotFoundError")
        return io.BytesIO(self.files[uri].content)


class SimulatedChannel:
    """Keeps every notice that it took."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.notices: list[Notice] = []

    def send(self, notice: Notice) -> None:
        """Take it."""
        self.notices.append(notice)


class SimulatedDefinitions:
    """Definition files by path."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = {
            path: DefinitionText(path, text, hashlib.sha256(text.encode()).hexdigest()[:12])
            for path, text in files.items()
        }

    def read(self, path: str) -> DefinitionText:
        """The file's text and version."""
        if path not in self._files:
            raise DefinitionMissing(f"{path}: there is no such file")
        return self._files[path]

    def list(self, folder: str) -> list[str]:
        """Paths of the files in the folder, sorted."""
        return sorted(path for path in self._files if path.rpartition("/")[0] == folder.rstrip("/"))


class SeededIds:
    """Ids from a seed."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def new(self) -> str:
        """32 hex digits that nobody else has."""
        return f"{self._chance.getrandbits(128):032x}"


class NoMetrics:
    """Nobody looks at numbers here."""

    def record(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Let it go."""


class NoSecrets:
    """There are none."""

    def get(self, name: str) -> str | None:
        """None."""
        return None

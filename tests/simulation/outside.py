"""The world outside: a source with files, people's channels, definitions, ids; all of them in memory."""

from __future__ import annotations

import fnmatch
import hashlib
import io
import posixpath
import random
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from shared.adapters.notice_text import bounded
from shared.domain.errors import DefinitionError, DefinitionMissing, ForeignFailure
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
    """Keeps every notice that it took, bounded and cleaned as every channel does."""

    def __init__(self, name: str, *, takes: bool = True) -> None:
        self.name = name
        self.notices: list[Notice] = []
        self._takes = takes

    def send(self, notice: Notice) -> None:
        """Take it."""
        if not self._takes:
            raise ForeignFailure("it takes nothing", system=self.name, exception_type="ConnectionError")
        self.notices.append(bounded(notice))


class SimulatedDefinitions:
    """Definition files by path; what is wrong with one is found when it is put down and said when it is read."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files: dict[str, DefinitionText | DefinitionError] = {}
        for path, text in files.items():
            self.put(path, text.encode())

    def put(self, path: str, content: bytes) -> None:
        """A file, or another one in its place."""
        self._files[path] = _read(path, content)

    def read(self, path: str) -> DefinitionText:
        """The file's text and version."""
        found = self._files.get(_inside(path))
        if found is None:
            raise DefinitionMissing(f"{path}: there is no such file")
        if isinstance(found, DefinitionError):
            raise found
        return found._replace(path=path)

    def list(self, folder: str) -> list[str]:
        """Paths of the YAML files in the folder, sorted; hidden ones are left out."""
        place = _inside(folder or ".")
        mine = [path for path in self._files if (posixpath.dirname(path) or ".") == place]
        return sorted(path for path in mine if path.endswith(_ENDINGS) and not posixpath.basename(path).startswith("."))


_ENDINGS = (".yaml", ".yml")
_BYTES_MAX = 1_000_000


def _inside(path: str) -> str:
    """The path in its shortest form."""
    shortest = posixpath.normpath(path)
    if "\0" in path or shortest.startswith(("/", "..")):
        raise DefinitionError(path.partition("\0")[0], 0, 0, "leads out of the project folder", "give a path inside it")
    return shortest


def _read(path: str, content: bytes) -> DefinitionText | DefinitionError:
    if len(content) > _BYTES_MAX:
        return DefinitionError(path, 0, 0, "has more than 1 MB", "is it the data?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        return DefinitionError(path, before.count(b"\n") + 1, column, "is not UTF-8 text", "save the file as UTF-8")
    return DefinitionText(path, text, hashlib.sha256(content).hexdigest()[:12])


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

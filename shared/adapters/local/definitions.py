"""Definition files read from the project folder."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Mapping
from pathlib import Path

from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.ports.definitions import DefinitionText

DEFINITION_BYTES_MAX = 1_000_000
_ENDINGS = (".yaml", ".yml")


class FolderDefinitions:
    """``Definitions`` in ``root``; every read sees the file as it stands now.

    ``instead`` puts single files, wherever they are, in the place of named ones (a contract to be tried out).
    """

    def __init__(self, root: Path, instead: Mapping[str, Path] | None = None) -> None:
        self._root = Path(os.path.realpath(root))
        self._instead = {posixpath.normpath(path): Path(file) for path, file in (instead or {}).items()}

    def read(self, path: str) -> DefinitionText:
        """The file's text and version."""
        place = self._instead.get(posixpath.normpath(path)) or self._place(path)
        try:
            with place.open("rb") as stream:
                content = stream.read(DEFINITION_BYTES_MAX + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise DefinitionMissing(f"{path}: there is no such file in {self._root}") from error
        except OSError as error:
            raise DefinitionError(path, 0, 0, f"cannot be read: {error.strerror}", "check its permissions") from error
        if len(content) > DEFINITION_BYTES_MAX:
            raise DefinitionError(path, 0, 0, "has more than 1 MB", "a definition is written by hand; is it the data?")
        return DefinitionText(path, _decoded(path, content), hashlib.sha256(content).hexdigest()[:12])

    def list(self, folder: str) -> list[str]:
        """Paths of the YAML files that stand in ``folder`` itself; hidden ones (an editor's) are left out."""
        place = self._place(folder or ".")
        try:
            names = [entry.name for entry in os.scandir(place) if entry.is_file()]
        except (FileNotFoundError, NotADirectoryError):
            names = []
        except OSError as error:
            raise DefinitionError(folder, 0, 0, f"cannot be read: {error.strerror}", "check its permissions") from error
        names += [posixpath.basename(path) for path in self._instead if self._place(path).parent == place]
        start = "" if place == self._root else f"{place.relative_to(self._root).as_posix()}/"
        return sorted({start + name for name in names if name.endswith(_ENDINGS) and not name.startswith(".")})

    def _place(self, path: str) -> Path:
        """The file's real place, which lies in the project folder."""
        if "\0" in path:
            raise DefinitionError("", 0, 0, "a path holds a NUL character", "give a path inside the project folder")
        real = Path(os.path.realpath(self._root / path))
        if Path(path).is_absolute() or not real.is_relative_to(self._root):
            hint = "give a path inside the project folder"
            raise DefinitionError(path, 0, 0, "leads out of the project folder", hint)
        return real


def _decoded(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        raise DefinitionError(path, line, column, "is not UTF-8 text", "save the file as UTF-8") from error

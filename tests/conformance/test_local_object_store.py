"""The folder as an object store under the suite, with a writer that dies, and on a disk that refuses."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.adapters.local.object_store import ADVICE, UNFINISHED_FOLDER, FolderObjectStore
from shared.domain.errors import InvariantBroken, ObjectsUnavailable
from shared.ports.object_store import ObjectStore
from tests.conformance.object_store_suite import ObjectStoreSuite, content_of, put

ROOT = Path(__file__).resolve().parents[2]


class TestFolderObjectStore(ObjectStoreSuite):
    """No known differences."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], ObjectStore]:
        return lambda: FolderObjectStore(tmp_path / "objects")


class TestLinkedFolderObjectStore(ObjectStoreSuite):
    """The root is a link, and nothing is forced to the disk."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], ObjectStore]:
        (tmp_path / "real").mkdir(exist_ok=True)
        if not (tmp_path / "link").exists():
            (tmp_path / "link").symlink_to(tmp_path / "real")
        return lambda: FolderObjectStore(tmp_path / "link", durable=False)


def test_engines_get_a_real_file(tmp_path: Path) -> None:
    store = FolderObjectStore(tmp_path)
    with store.write("a/b") as stream:
        assert stream.fileno() > 0
        stream.write(b"x")
    with store.read("a/b") as stream:
        assert stream.fileno() > 0
    assert store.local_path("a/b") == Path(store.uri("a/b")) == tmp_path / "a" / "b"


def test_a_link_out_of_the_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("secret")
    store = FolderObjectStore(tmp_path / "objects")
    put(store, "a/b")
    (tmp_path / "objects" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(InvariantBroken):
        store.read("link/file")
    with pytest.raises(InvariantBroken):
        put(store, "link/new")
    (tmp_path / "objects" / "file").symlink_to(tmp_path / "outside" / "file")
    with pytest.raises(InvariantBroken):
        store.read("file")
    assert [each.path for each in store.list("a")] == ["a/b"]
    assert [each.name for each in (tmp_path / "outside").iterdir()] == ["file"]


def test_only_old_left_overs_are_cleaned(tmp_path: Path) -> None:
    FolderObjectStore(tmp_path)
    folder = tmp_path / UNFINISHED_FOLDER
    folder.mkdir()
    (folder / "old").write_text("")
    (folder / "new").write_text("")
    before = time.time() - 25 * 3_600
    os.utime(folder / "old", (before, before))
    store = FolderObjectStore(tmp_path)
    assert [each.name for each in folder.iterdir()] == ["new"]
    assert list(store.list("")) == []
    with pytest.raises(InvariantBroken):
        store.read(f"{UNFINISHED_FOLDER}/new")


@pytest.mark.parametrize("code", [*sorted(ADVICE), errno.EBADMSG])
def test_what_the_system_says_becomes_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    store = FolderObjectStore(tmp_path)
    put(store, "a", b"as it was")

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ObjectsUnavailable, match=errno.errorcode[code]) as caught:
        put(store, "a", b"new")
    assert ADVICE.get(code, "the system") in str(caught.value)
    monkeypatch.undo()
    assert content_of(store, "a") == b"as it was"
    assert list((tmp_path / UNFINISHED_FOLDER).iterdir()) == []


def test_a_full_disk_in_the_writers_hands(tmp_path: Path) -> None:
    store = FolderObjectStore(tmp_path)
    with pytest.raises(ObjectsUnavailable, match="free some space"), store.write("a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ConnectionResetError), store.write("a"):
        raise ConnectionResetError(errno.ECONNRESET, "that is the source's trouble")


LARGE = """
import resource, signal, sys
from pathlib import Path
from shared.adapters.local.object_store import FolderObjectStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
store = FolderObjectStore(Path(sys.argv[1]))
try:
    with store.write("a") as stream:
        stream.write(b"x" * 3_000_000)
except Exception as error:
    print(type(error).__name__, list(store.list("")))
"""
WRITER = """
import sys
from pathlib import Path
from shared.adapters.local.object_store import FolderObjectStore
store = FolderObjectStore(Path(sys.argv[1]))
for n in range(100_000):
    with store.write("a/b") as stream:
        for _ in range(20):
            stream.write(b"%06d" % n * 1_000)
    print(n, flush=True)
"""


def _python(program: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )


def test_a_file_the_system_refuses_in_a_real_process(tmp_path: Path) -> None:
    output, _ = _python(LARGE, tmp_path).communicate(timeout=30)
    assert output.strip() == "ObjectsUnavailable []"


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.002, 0.005])
def test_a_writer_killed_in_the_middle_leaves_a_whole_object(tmp_path: Path, delay: float) -> None:
    writer = _python(WRITER, tmp_path)
    assert writer.stdout is not None
    for _ in range(5):
        writer.stdout.readline()
    time.sleep(delay)
    writer.send_signal(signal.SIGKILL)
    told = [4, *map(int, writer.stdout.read().split())][-1]
    writer.wait(30)
    store = FolderObjectStore(tmp_path)
    content = content_of(store, "a/b")
    assert content in (b"%06d" % told * 20_000, b"%06d" % (told + 1) * 20_000)
    assert [each.path for each in store.list("")] == ["a/b"]

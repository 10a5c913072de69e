"""The system's ids under the suite."""

import pytest

from shared.adapters.local.ids import SystemIds
from shared.ports.ids import Ids
from tests.conformance.ids_suite import IdsSuite


class TestSystemIds(IdsSuite):
    """No known differences."""

    @pytest.fixture
    def ids(self) -> Ids:
        return SystemIds()

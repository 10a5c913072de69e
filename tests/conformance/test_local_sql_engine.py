"""DuckDB in memory under the suite of SQL engines."""

import pytest

from shared.adapters.local.sql_engine import DuckDbSqlEngine
from shared.ports.sql_engine import SqlEngine
from tests.conformance.sql_engine_suite import SqlEngineSuite


class TestDuckDbSqlEngine(SqlEngineSuite):
    """No known differences."""

    @pytest.fixture
    def engine(self) -> SqlEngine:
        return DuckDbSqlEngine(400)

    @pytest.fixture
    def small(self) -> SqlEngine:
        return DuckDbSqlEngine(100)

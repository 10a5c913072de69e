"""What every source of ids does."""

import re
import threading

import pytest

from shared.ports.ids import Ids


class IdsSuite:
    """Subclasses supply ``ids``."""

    @pytest.fixture
    def ids(self) -> Ids:
        raise NotImplementedError

    def test_32_hex_digits(self, ids: Ids) -> None:
        assert all(re.fullmatch(r"[0-9a-f]{32}", ids.new()) for _ in range(50))

    def test_never_twice(self, ids: Ids) -> None:
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.extend(ids.new() for _ in range(500))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(found)) == 2_000

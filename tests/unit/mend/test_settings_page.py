"""docs/settings.md says what the settings are now."""

from mend.settings_page import PAGE, page, table
from shared.runtime.settings import PREFIX, Settings


def test_the_page_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run: python -m mend.settings_page"


def test_every_setting_has_a_row_with_its_bounds_and_default() -> None:
    rows = {row.split("`")[1]: row for row in table().splitlines()[2:]}
    assert list(rows) == [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    parts = rows["MEND_ROWS_PER_PART"]
    assert "whole number, at least 1, at most 5,000,000 | `131072` | rows held" in parts
    assert "| empty |" in rows["MEND_PROJECT_URL"]


def test_making_it_again_changes_nothing_else() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(page(text)) == page(text)
    assert page(text.replace("## Secrets", "## Other")).count("## Other") == 1

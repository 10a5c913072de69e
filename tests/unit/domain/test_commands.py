"""Goal: what a text tells people to type can be typed as it stands, wherever the store is."""

import pytest

from shared.domain.commands import at_root


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("mend approve r0123456789ab", "mend approve r0123456789ab --root my-store"),
        ("See: mend quarantine show b0123456789ab", "See: mend quarantine show b0123456789ab --root my-store"),
        ("3 an hour; mend incidents lists them", "3 an hour; mend incidents --root my-store lists them"),
        ("mend undo r0123456789ab --root other", "mend undo r0123456789ab --root other"),
        ("they mend incidentally; amend incidents", "they mend incidentally; amend incidents"),
        ("mend explain $(reboot)", "mend explain $(reboot)"),
    ],
)
def test_each_command_names_the_store(text: str, completed: str) -> None:
    assert at_root(text, "my-store") == completed


def test_a_folder_with_spaces_is_quoted() -> None:
    assert at_root("mend incidents", "my store") == "mend incidents --root 'my store'"


def test_without_a_root_nothing_is_added() -> None:
    assert at_root("mend incidents", "") == "mend incidents"

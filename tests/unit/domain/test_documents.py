"""A copy of a document is equal to it and shares nothing that can be changed."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.documents import copied
from shared.domain.remedy import RemedyState

atoms = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
documents = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


def containers(value: Any) -> list[int]:
    """The identities of all lists and dicts in a document."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [id(value)] if isinstance(value, dict | list) else []
    return own + [each for deep in inner for each in containers(deep)]


@given(documents)
def test_equal_and_apart(document: Any) -> None:
    copy = copied(document)
    assert copy == document
    assert set(containers(copy)).isdisjoint(containers(document))


def test_what_is_no_plain_document() -> None:
    """Enumerations stay what they are; other containers are copied as deeply."""
    document: dict[str, Any] = {"state": RemedyState.APPLIED, "pair": ([1], {"a": [2]})}
    copy = copied(document)
    assert copy == document
    assert copy["state"] is RemedyState.APPLIED
    assert copy["pair"][1]["a"] is not document["pair"][1]["a"]

"""Any contract written reads back equal, and is valid by the standard's own schema."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.contract import (
    Column,
    Contract,
    DriftLimits,
    FunctionalDependency,
    Reference,
    RowCountRule,
    SlaProperty,
    parse_contract,
    write_contract,
)
from tests.unit.domain.test_contract import standard

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
WORD = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
NAME = (WORD | TEXT.filter(lambda text: bool(text.strip()))).filter(lambda text: not text.startswith("_mend_"))
NUMBER = st.integers(-(10**12), 10**12) | st.floats(-1e12, 1e12)


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    """Any column, each check where its type allows it."""
    kind = draw(st.sampled_from(["string", "integer", "number", "boolean", "date", "timestamp", "time", "object"]))
    options: dict[str, Any] = {}
    if kind == "string":
        options |= {
            "min_length": draw(st.none() | st.integers(0, 5)),
            "max_length": draw(st.none() | st.integers(5, 9)),
            "pattern": draw(st.sampled_from(["", "^a+$", r"\d{2}: #", "no"])),
            "enum": tuple(dict.fromkeys(draw(st.lists(TEXT | st.sampled_from(["NO", "1e5", "0o7", "007", "~"]))))),
        }
    elif kind in ("integer", "number"):
        low, high = sorted([draw(NUMBER), draw(NUMBER)])
        options |= {"minimum": low, "exclusive_maximum": high, "multiple_of": draw(st.none() | st.integers(1, 9))}
        values = draw(st.lists(st.integers(-(10**9), 10**9), max_size=3, unique=True))
        options["enum"] = tuple(values if kind == "integer" else map(float, values))
    elif kind in ("date", "timestamp"):
        options |= {"minimum": "2020-01-01", "format": draw(st.sampled_from(["", "yyyy-MM-dd", "%d.%m.%Y"]))}
    return Column(
        name=name,
        logical_type=kind,  # type: ignore[arg-type]
        logical_name=draw(st.just("") | WORD.filter(lambda other: other != name)),
        description=draw(TEXT),
        required=draw(st.booleans()),
        unique=draw(st.booleans()),
        synonyms=tuple(draw(st.lists(TEXT, max_size=2))),
        classification=draw(TEXT),
        tags=tuple(draw(st.lists(TEXT, max_size=2))),
        unit=draw(TEXT),
        null_values=draw(st.none() | st.lists(TEXT, max_size=2).map(tuple)),
        allowed_repairs=draw(st.none() | st.lists(TEXT, max_size=2).map(tuple)),
        drift_limits=draw(
            st.none()
            | st.just(DriftLimits(enabled=False, mean_shift_max=2.5))
            | st.just(DriftLimits(ks_max=0.3, psi_max=0.2, new_categories=False, vanished_categories=True))
        ),
        custom=draw(st.just(()) | st.just((("theirs", '{"a": [1, "NO", null]}'),))),
        **options,
    )


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """Any contract without what is kept unchecked."""
    names = draw(st.lists(NAME, min_size=1, max_size=4, unique_by=str.casefold))
    made = tuple(draw(columns(name)) for name in names)
    words = [column.name for column in made if column.name.isascii() and column.name.isidentifier()]
    key = draw(st.permutations(names))[: draw(st.integers(0, len(names)))]
    called = [*names, *(column.logical_name for column in made)]
    made = tuple(
        Column(
            **{f: getattr(c, f) for f in Column.__slots__}
            # A relationship names columns by either name: what two columns are called says neither.
            | {"primary_key_position": n, "logical_name": c.logical_name if called.count(c.logical_name) == 1 else ""}
        )
        for c in made
        for n in [key.index(c.name) + 1 if c.name in key else 0]
    )
    return Contract(
        id=draw(TEXT),
        version=draw(TEXT),
        table=draw(WORD),
        columns=made,
        name=draw(TEXT),
        status=draw(WORD),
        description=draw(TEXT),
        unique_groups=draw(st.just(()) | st.just((tuple(names),))),
        references=tuple(
            Reference(columns=(word,), table=draw(st.sampled_from(["p", "d.p"])), parent_columns=(draw(WORD),))
            for word in words
        ),
        row_counts=draw(st.just(()) | st.just((RowCountRule(name="n", minimum=1, maximum=9),))),
        functional_dependencies=draw(
            st.just(()) | st.just((FunctionalDependency(determinants=(names[0],), dependents=(names[-1],)),))
        ),
        sla=draw(st.just(()) | st.just((SlaProperty(property="latency", value="4", unit="d", element="t.x"),))),
        drift_limits=draw(st.none() | st.just(DriftLimits(row_count_change_max=0.5))),
        score_weights=draw(st.just(()) | st.just((("accuracy", 0.0), ("validity", 2.5)))),
        tags=tuple(draw(st.lists(TEXT, max_size=2))),
    )


VALIDATOR = standard()


@settings(deadline=None, max_examples=60)
@given(contracts())
def test_any_contract_written_reads_back_equal_and_is_of_the_standard(contract: Contract) -> None:
    text = write_contract(contract)
    assert parse_contract(text, "c.yaml") == contract
    assert not list(VALIDATOR.iter_errors(yaml.safe_load(text)))

"""What leaves validate: files before events, every reason on every row, the same again when repeated, and no values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import polars as pl
import pytest

from services.validate import release
from shared.events.types import BatchStaged, ContractAmended
from tests.unit.validate.world import World

Make = Callable[..., World]
TWO: list[dict[str, Any]] = [
    {"name": "x", "logicalType": "integer", "required": True, "logicalTypeOptions": {"maximum": 9}},
    {"name": "y", "logicalType": "string", "logicalTypeOptions": {"maxLength": 1, "pattern": "^[a-z]*$"}},
]


def test_a_row_carries_every_reason_with_value_and_explanation(world: Make) -> None:
    result = world(TWO).judge(pl.DataFrame({"x": ["", "10", "1"], "y": ["AB", "A", "a"]}))
    told = {
        row: [tuple(item.values()) for item in items]
        for row, items in result.quarantine.select("_mend_row", "_mend_violations").iter_rows()
    }
    assert told == {
        1: [
            ("required", "x", "", "x must not be null"),
            ("pattern", "y", "AB", "y must match ^[a-z]*$"),
            ("length", "y", "AB", "y must have at most 1 characters"),
        ],
        2: [("range", "x", "10", "x must be at most 9"), ("pattern", "y", "A", "y must match ^[a-z]*$")],
    }
    assert result.quarantine.select("x", "y").rows() == [("", "AB"), ("10", "A")]


def test_all_rows_failing_are_written_in_bounded_pieces(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "REASONS_AT_ONCE", 10)
    rows = pl.DataFrame({"x": ["a"] * 50, "y": ["AB"] * 50})
    result = world(TWO, rows_per_part=20).judge(rows)
    assert result.validated.rows_passed == 0
    assert result.validated.passed_parts == []
    assert result.quarantine["_mend_row"].to_list() == list(range(1, 51))
    assert result.quarantine["_mend_violations"].list.len().unique().to_list() == [3]


def test_handled_again_before_the_commit_it_writes_and_tells_the_same(world: Make) -> None:
    w = world(TWO, rows_per_part=2)
    first = w.judge(pl.DataFrame({"x": ["1", "2", "3", "x"], "y": ["a", "b", "AB", ""]}))
    stray = first.validated.passed_parts[0].replace("part-00000", "part-00009")
    with w.process.objects.write(stray) as stream:
        stream.write(b"left by an interrupted run of an older version")
    kept = {info.path: w.process.objects.read(info.path).read() for info in w.process.objects.list("quarantine/")}
    again = _again(w, first.event)
    assert [event.model_dump(exclude={"time"}) for event in again] == [
        event.model_dump(exclude={"time"}) for event in first.events
    ]
    assert {
        info.path: w.process.objects.read(info.path).read() for info in w.process.objects.list("quarantine/")
    } == kept
    assert w.process.objects.stat(stray) is None


def _again(w: World, event: BatchStaged) -> list[Any]:
    from shared.ports.state_store import Delete

    w.process.store.commit(
        [Delete("verdicts", f"{event.batch_id}:{event.attempt}"), Delete("profiles", f"things:{event.batch_id}")]
    )
    return list(w.handle(event))


def test_a_second_cause_for_the_same_attempt_does_nothing(world: Make) -> None:
    w = world(TWO)
    first = w.judge(pl.DataFrame({"x": ["1"], "y": ["a"]}))
    assert w.handle(first.event.model_copy(update={"id": "another"})) == []


def test_records_that_did_not_fit_keep_that_reason_alone(world: Make) -> None:
    rows = pl.DataFrame(
        {"x": ["1", None], "y": ["a", None], "_mend_raw": [None, "1;2;3"], "_mend_misfit": [None, "too_many_fields"]}
    )
    result = world(TWO).judge(rows)
    assert result.reasons == {("well_formed", ""): {2}}
    assert result.evidence("well_formed")["hypotheses"]["kinds"] == {"too_many_fields": 1}
    assert result.quarantine["_mend_raw"].to_list() == ["1;2;3"]


def test_many_findings_end_in_one_more(world: Make) -> None:
    columns = [{"name": f"c{number}", "logicalType": "integer"} for number in range(60)]
    result = world(columns).judge(pl.DataFrame({item["name"]: ["x"] for item in columns}))
    assert len(result.incidents) == 41
    assert len(result.evidence("more")["groups"]) == 20
    assert result.validated.incidents == 41
    assert len(result.quarantine["_mend_violations"][0]) == 60


def test_a_delivery_without_a_part_passes_as_no_rows(world: Make) -> None:
    empty = pl.DataFrame(schema={"x": pl.String, "y": pl.String})
    result = world(TWO).judge(empty, parts=[])
    assert (result.validated.state, result.validated.rows_passed) == ("released", 0)


def test_a_header_alone_passes_as_no_rows(world: Make) -> None:
    result = world(TWO).judge(pl.DataFrame(schema={"x": pl.String, "y": pl.String}))
    assert (result.validated.state, result.validated.rows, result.validated.score) == ("released", 0, 100.0)
    assert result.validated.passed_parts == []


class TestDecisions:
    ROWS = pl.DataFrame({"x": ["1", "bad"], "y": ["a", "b"]})

    def test_reject_batch_releases_nothing(self, world: Make) -> None:
        w = world(TWO)
        w.pipeline["on_violation"] = {"rows": "reject_batch"}
        result = w.judge(self.ROWS)
        assert (result.validated.state, result.validated.rows_passed) == ("rejected", 0)
        assert result.reasons == {("type", "x"): {2}, ("rows", ""): {1}}
        assert result.held is None

    def test_overwrite_is_all_or_nothing_unless_waived(self, world: Make) -> None:
        w = world(TWO)
        w.pipeline["destination"]["mode"] = "overwrite"
        result = w.judge(self.ROWS)
        assert (result.validated.state, result.validated.rows_quarantined) == ("held", 2)
        assert result.held is not None
        assert result.reasons[("rows", "")] == {1}
        waived = w.judge(self.ROWS, attempt=2, waive=["rows"])
        assert (waived.validated.state, waived.validated.partial, waived.validated.rows_passed) == ("released", True, 1)

    def test_a_table_is_not_overwritten_by_nothing(self, world: Make) -> None:
        w = world(TWO)
        w.pipeline["destination"]["mode"] = "overwrite"
        nothing = w.judge(pl.DataFrame(schema={"x": pl.String, "y": pl.String}))
        assert nothing.validated.state == "held"
        assert nothing.evidence("delivery_complete")["problem"] == "empty"
        bad = pl.DataFrame({"x": ["bad", "worse"], "y": ["a", "b"]})
        assert w.judge(bad, batch="b2").validated.state == "held"
        assert w.judge(bad, batch="b2", attempt=2, waive=["rows"]).validated.state == "held"

    def test_a_low_score_holds_unless_waived(self, world: Make) -> None:
        w = world(TWO)
        w.pipeline["on_violation"] = {"rows": "quarantine", "score_below": 90}
        result = w.judge(self.ROWS)
        assert (result.validated.state, result.validated.score) == ("held", 75.0)
        assert result.evidence("score")["dimensions"] == {"completeness": 100.0, "validity": 50.0}
        assert w.judge(self.ROWS, attempt=2, waive=["score"]).validated.rows_passed == 1

    def test_row_count_holds_unless_waived(self, world: Make) -> None:
        w = world(TWO, quality=[{"metric": "rowCount", "mustBeBetween": [3, 4]}])
        result = w.judge(self.ROWS)
        assert result.held is not None
        assert {key: result.evidence("row_count")[key] for key in ("rows", "minimum", "maximum")} == {
            "rows": 2,
            "minimum": 3,
            "maximum": 4,
        }
        assert w.judge(self.ROWS, attempt=2, waive=["row_count"]).validated.state == "released"

    def test_a_broken_delivery_is_held_unjudged(self, world: Make) -> None:
        w = world(TWO)
        result = w.judge(self.ROWS, problem="truncated")
        assert set(result.incidents) == {("delivery_complete", "")}
        assert result.evidence("delivery_complete")["problem"] == "truncated"
        assert result.reasons == {("delivery_complete", ""): {1, 2}}
        assert (
            w.judge(self.ROWS, attempt=2, problem="truncated", waive=["delivery_complete"]).validated.rows_passed == 1
        )


class TestColumns:
    def test_a_renamed_column_is_held_with_its_likeliest_partner_first(self, world: Make) -> None:
        columns = [*TWO, {"name": "tail_number", "logicalType": "string", "synonyms": [{"synonym": "tail"}]}]
        w = world(columns)
        rows = pl.DataFrame({"x": ["1", "2"], "y": ["a", "b"], "tail_no": ["N1", ""], "count": ["1", "2"]})
        result = w.judge(rows)
        assert set(result.incidents) == {("missing_columns", "")}
        assert result.validated.rows_quarantined == 2
        best = result.evidence("missing_columns")["candidates"][0]
        assert (best["missing"], best["delivered"], best["fits_share"]) == ("tail_number", "tail_no", 1.0)
        described = {item["name"]: item for item in result.evidence("missing_columns")["unexpected"]}
        assert described["count"]["logical_type"] == "integer"
        assert (described["tail_no"]["logical_type"], described["tail_no"]["null_share"]) == ("string", 0.5)
        healed = w.judge(rows, attempt=2, rename_json='{"tail_no": "tail_number"}', accept_columns=["count:integer"])
        assert healed.passed.columns == ["_mend_row", "x", "y", "tail_number", "count", "_mend_batch", "_mend_seq"]
        assert healed.passed["tail_number"].to_list() == ["N1", None]

    def test_violations_of_a_renamed_column_show_its_cell(self, world: Make) -> None:
        result = world(TWO).judge(pl.DataFrame({"x": ["1"], "why": ["AB"]}), rename_json='{"why": "y"}')
        assert {(item["column"], item["value"]) for item in result.quarantine["_mend_violations"][0]} == {("y", "AB")}
        assert "why" in result.quarantine.columns

    def test_accepted_columns_stay_until_taken_back_and_may_be_absent(self, world: Make) -> None:
        w = world(TWO)
        rows = pl.DataFrame({"x": ["1"], "y": ["a"], "z": ["2013-01-02"]})
        assert w.judge(rows, batch="b1").validated.state == "held"
        assert w.judge(rows, batch="b2", accept_columns=["z:date"]).passed.schema["z"] == pl.Date
        assert w.judge(rows, batch="b3").validated.state == "released"
        assert w.judge(rows.drop("z"), batch="b4").passed["z"].to_list() == [None]
        assert w.document("contracts", "things")["columns"][0]["batch_id"] == "b2"  # type: ignore[index]
        w.handle(
            ContractAmended(
                id="a", time=1, subject="s", correlation_id="c", pipeline="things", remedy_id="r", remove_columns=["z"]
            )
        )
        assert w.judge(rows, batch="b5").validated.state == "held"


class TestLaterAttempts:
    KEYED: ClassVar[list[dict[str, Any]]] = [
        {"name": "id", "logicalType": "integer", "primaryKey": True},
        {"name": "v", "logicalType": "integer"},
    ]

    def test_keys_are_compared_with_rows_that_passed_before(self, world: Make) -> None:
        w = world(self.KEYED)
        w.judge(pl.DataFrame({"id": ["1", "2", "x", "y"], "v": ["1", "1", "1", "1"]}))
        rows = pl.DataFrame({"_mend_row": [3, 4], "id": ["1", "9"], "v": ["1", "1"]})
        result = w.judge(rows, attempt=2)
        assert result.reasons == {("primary_key", "id"): {3}}
        hypotheses = result.evidence("primary_key", "id")["hypotheses"]
        assert (hypotheses["earlier_share"], hypotheses["identical_share"]) == (1.0, 1.0)
        assert result.passed["_mend_row"].to_list() == [4]

    def test_rows_that_come_back_are_not_their_own_duplicates(self, world: Make) -> None:
        w = world(self.KEYED)
        rows = pl.DataFrame({"id": ["1", "2"], "v": ["1", "1"]})
        w.judge(rows)
        assert w.judge(rows, attempt=2).validated.rows_passed == 2

    def test_another_reading_starts_anew(self, world: Make) -> None:
        w = world(self.KEYED)
        rows = pl.DataFrame({"_mend_row": [1], "id": ["1"], "v": ["1"]})
        w.judge(rows)
        moved = rows.with_columns(_mend_row=pl.lit(7, dtype=pl.Int64))
        assert w.judge(moved, attempt=2, reading=2).validated.rows_passed == 1

    def test_a_rest_of_a_batch_is_not_judged_as_a_batch(self, world: Make) -> None:
        w = world(self.KEYED, quality=[{"metric": "rowCount", "mustBeGreaterThan": 1}])
        w.pipeline["on_violation"] = {"rows": "quarantine", "score_below": 60}
        w.judge(pl.DataFrame({"id": ["1", "2", "x"], "v": ["1", "1", "1"]}))
        result = w.judge(pl.DataFrame({"_mend_row": [3], "id": ["z"], "v": ["1"]}), attempt=2, whole=False)
        assert (result.validated.state, set(result.incidents)) == ("released", {("type", "id")})

    def test_a_whole_batch_is_judged_as_one_again_when_its_release_was_undone(self, world: Make) -> None:
        """What an earlier attempt released, and a person took back, excuses nothing of the next one."""
        w = world(self.KEYED)
        w.pipeline["on_violation"] = {"rows": "quarantine", "score_below": 99}
        w.judge(pl.DataFrame({"id": ["1", "2", "3"], "v": ["1", "1", "1"]}))
        result = w.judge(pl.DataFrame({"id": ["1", "2", "x"], "v": ["1", "1", "1"]}), attempt=2)
        assert (result.validated.state, result.validated.rows_passed) == ("held", 0)


class TestReferences:
    CHILD: ClassVar[list[dict[str, Any]]] = [
        {"name": "shop", "logicalType": "string", "relationships": [{"to": "shops.id"}]}
    ]

    def test_rows_wait_for_a_table_that_does_not_exist(self, world: Make) -> None:
        result = world(self.CHILD).judge(pl.DataFrame({"shop": ["s1", ""]}))
        assert result.reasons == {("relationship", "shop"): {1}}
        hypotheses = result.evidence("relationship", "shop")["hypotheses"]
        assert (hypotheses["parent_missing"], hypotheses["parent_table"]) == (True, "shop.shops")
        assert result.validated.snapshots == []

    def test_the_parents_keys_are_kept_beside_the_verdict(self, world: Make) -> None:
        w = world(self.CHILD)
        w.table("shop.shops", pl.DataFrame({"id": ["s1", "s2"]}), {"id": "string"})
        result = w.judge(pl.DataFrame({"shop": ["s1", " S2", "s3"]}))
        assert result.reasons == {("relationship", "shop"): {2, 3}}
        (snapshot,) = result.validated.snapshots
        assert w.read([snapshot])["id"].to_list() == ["s1", "s2"]
        assert w.judge(pl.DataFrame({"shop": ["s1"]}), batch="b2").validated.snapshots == [snapshot]
        hypotheses = result.evidence("relationship", "shop")["hypotheses"]
        assert hypotheses["normalised"] == {"any": 0.5}
        assert hypotheses["near_match_share"] == 0.0

    def test_a_table_that_refers_to_itself_has_the_batchs_own_keys(self, world: Make) -> None:
        columns = [
            {"name": "id", "logicalType": "integer", "primaryKey": True},
            {"name": "boss", "logicalType": "integer", "relationships": [{"to": "things.id"}]},
        ]
        result = world(columns).judge(pl.DataFrame({"id": ["1", "2", "3"], "boss": ["", "1", "9"]}))
        assert result.reasons == {("relationship", "boss"): {3}}


PLANTED = "Zanzibar9917"


def test_no_cell_value_leaves_the_files(world: Make) -> None:
    """Every cell holds a word that nothing else contains; no event and no document may contain it."""
    columns: list[dict[str, Any]] = [
        {"name": "a", "logicalType": "integer"},
        {"name": "b", "logicalType": "string", "enum": [{"value": "ok"}], "unique": True},
        {"name": "c", "logicalType": "timestamp"},
        {"name": "d", "logicalType": "string", "logicalTypeOptions": {"pattern": "^[a-z]+$", "maxLength": 3}},
        {"name": "e", "logicalType": "string", "relationships": [{"to": "shops.id"}]},
        {"name": "f", "logicalType": "number", "logicalTypeOptions": {"maximum": 3}},
    ]
    w = world(columns)
    w.table("shop.shops", pl.DataFrame({"id": [PLANTED + "x"]}), {"id": "string"})
    cells = {name: [PLANTED, f" {PLANTED}", PLANTED] for name in "abcde"} | {"f": ["9917331", "9917332", "1"]}
    extra = pl.DataFrame(cells | {"extra": [PLANTED] * 3})
    results = [w.judge(pl.DataFrame(cells)), w.judge(extra, batch="b2")]
    told = [event.model_dump_json() for result in results for event in result.events]
    kept = [repr(document) for document in _documents(w)]
    assert len(results[0].incidents) >= 7
    assert not [text for text in told + kept if PLANTED in text or "99173" in text]


def _documents(w: World) -> Iterator[Any]:
    for collection in ("verdicts", "profiles", "contracts"):
        yield from w.process.store.query(collection)

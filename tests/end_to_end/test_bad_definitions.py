"""Definition files that are wrong: one line that names file, line and what to do, exit code 2, and nothing touched."""

from pathlib import Path

import pytest

from tests.end_to_end.orders import GOOD, Orders

pytestmark = pytest.mark.slow
PIPELINE = "pipelines/orders.yaml"
CONTRACT = "contracts/orders.odcs.yaml"


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    """A project with one good delivery."""
    made = Orders(tmp_path)
    made.deliver("a.csv", GOOD)
    return made


def assert_refused(orders: Orders, *wanted: str, files: tuple[str, ...] = ()) -> None:
    """Refused with one line that says all this, before anything was read; `mend check` refuses it too."""
    ended = orders.run_it()
    assert ended.code == 2, ended.said
    assert ended.out == ""
    assert ended.err.startswith("mend: ")
    assert ended.err.count("\n") == 1
    for text in wanted:
        assert text in ended.err
    assert orders.account()["batches"] == 0
    assert orders.mend("check", *files).code == 2


def assert_runs_when_mended(orders: Orders) -> None:
    """What was refused runs once the file is right."""
    ended = orders.run_it()
    assert ended.code == 0, ended.said
    orders.assert_rows(loaded=20)


@pytest.mark.parametrize(
    ("file", "before", "after", "wanted"),
    [
        (PIPELINE, "mode: append}", "mode: append", [f"{PIPELINE}:5:", "not closed", "add a comma or }"]),
        (PIPELINE, "mode: append", "mod: append", [f"{PIPELINE}:4:", 'unknown key "mod"', 'did you mean "mode"?']),
        (PIPELINE, "mode: append", "mode: appendd", [f"{PIPELINE}:4:", 'did you mean "append"?']),
        (PIPELINE, "contract:", "\tcontract:", [f"{PIPELINE}:3:"]),
        (CONTRACT, "city, logicalType", "city, : x logicalType", [f"{CONTRACT}:12:22", "not YAML"]),
        (CONTRACT, "number}", "nummber}", [f"{CONTRACT}:13:", 'did you mean "number"?']),
        (
            CONTRACT,
            "logicalType: number",
            "logicalType: numbers",
            [f"{CONTRACT}:13:24", '"logicalType" cannot be "numbers"', "number"],
        ),
    ],
    ids=["not closed", "unknown key", "unknown mode", "tab", "contract not YAML", "unknown type", "contract key"],
)
def test_a_wrong_file(orders: Orders, file: str, before: str, after: str, wanted: list[str]) -> None:
    orders.replace(file, before, after)
    assert_refused(orders, *wanted)
    orders.replace(file, after, before)
    assert_runs_when_mended(orders)


def test_a_contract_that_is_not_there(orders: Orders) -> None:
    (orders.folder / CONTRACT).rename(orders.folder / "contracts" / "order.odcs.yaml")
    assert_refused(orders, CONTRACT, "there is no such file", PIPELINE, 'did you mean "contracts/order.odcs.yaml"?')


def test_a_policy_with_an_unknown_key(orders: Orders) -> None:
    (orders.folder / "policy.yaml").write_text("moode: observe\n")
    assert_refused(orders, "policy.yaml:1:1", 'unknown key "moode"', 'did you mean "mode_max"?')


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "pipelines/orders.yaml"),
        (b"\xff\xfe\x00binary", "not UTF-8"),
        (b"- a\n- list\n", "pipelines/orders.yaml:1"),
        (b"&a [*a, *a]\n", "pipelines/orders.yaml:1"),
        (b"pipeline: orders\n" * 2, "pipelines/orders.yaml:2"),
        (b"a: " + b"[" * 5_000 + b"]" * 5_000, "pipelines/orders.yaml"),
        (b"#" * 2_000_000, "pipelines/orders.yaml"),
    ],
    ids=["empty", "binary", "a list", "recursive", "key twice", "deep", "huge"],
)
def test_a_pipeline_that_is_something_else(orders: Orders, content: bytes, wanted: str) -> None:
    (orders.folder / PIPELINE).write_bytes(content)
    ended = orders.run_it()
    assert ended.code == 2, ended.said
    assert wanted in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("run", "pipelines"), "Is a directory"),
        (("run", "nope.yaml"), "nope.yaml: there is no such file; name a pipeline file, or make one: mend init DATA"),
        (("audit", "--root", "nope"), "nope: there is no store here; name one with --root"),
        (("explain", "i000000000000", "--root", "nope"), "there is no store here"),
        (("check", "nope.yaml"), "nope.yaml"),
    ],
)
def test_a_name_of_nothing(orders: Orders, arguments: tuple[str, ...], wanted: str) -> None:
    ended = orders.mend(*arguments)
    assert ended.code == 2, ended.said
    assert wanted in ended.said
    assert "Traceback" not in ended.said
    assert not (orders.folder / "nope").exists()


def test_a_definition_that_breaks_while_rows_wait(orders: Orders) -> None:
    """What an earlier run left over stays where it is until the file is right again."""
    orders.deliver("b.csv", "id,city,amount,day\nx,Rome,1,2024-01-01\n")
    assert orders.run_it().code == 3
    before = orders.account()
    orders.replace(CONTRACT, "logicalType: number", "logicalType: numbers")
    orders.deliver("c.csv", GOOD.replace("Rome", "Oslo"))
    assert orders.run_it().code == 2
    assert {**orders.account(), "seconds": 0} == {**before, "seconds": 0}

"""Great Expectations over pandas: the expectations that equal the contract's rules, and what each found.

Called with the rows' file, the folder of the parents' files, the rules as JSON and the answer's path. Over DuckDB the
library cannot do it: it has no data source of its own for it, and over SQLAlchemy's driver several metrics fail.
"""

from __future__ import annotations

import csv
import json
import sys
import warnings
from pathlib import Path
from typing import Any

# This runs in the peer's environment; ours has none of them.
import great_expectations as gx  # type: ignore[import-not-found]
import great_expectations.expectations as gxe  # type: ignore[import-not-found]
import pandas as pd  # type: ignore[import-untyped]

KINDS = {"integer": "Int64", "number": "float64", "timestamp": "datetime64[us, UTC]", "string": "str"}


def main(rows: str, parents: str, rules: str, answer: str) -> None:
    """Validate one file and write ``[{check, column, failed}]``."""
    warnings.simplefilter("ignore")
    wanted = json.loads(Path(rules).read_text(encoding="utf-8"))
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    batch = batch_of(context, rows, wanted)
    suite = gx.ExpectationSuite(name="flights")
    for rule in wanted["rules"]:
        wording = expectation(rule, Path(parents))
        wording.meta = {"check": rule["check"], "column": rule.get("column", "")}
        suite.add_expectation(wording)
    # Partial results are the least that says how many rows fail.
    result = batch.validate(suite, result_format={"result_format": "BASIC", "partial_unexpected_count": 0})
    found = [{**each.expectation_config.meta, "failed": failed(each)} for each in result.results]
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def failed(each: Any) -> int:
    """Rows that broke an expectation; for a rule about the whole column or table 1 when broken."""
    if "'raised_exception': True" in str(each.exception_info) or '"raised_exception": true' in str(each.exception_info):
        raise RuntimeError(str(each.exception_info)[:2000])
    return int(each.result.get("unexpected_count", 0 if each.success else 1) or 0)


def batch_of(context: Any, rows: str, wanted: dict[str, Any]) -> Any:
    """The file as a frame, read with the contract's types."""
    moments = [name for name, kind in wanted["types"].items() if kind == "timestamp"]
    plain = {name: KINDS[kind] for name, kind in wanted["types"].items() if name not in moments}
    frame = pd.read_csv(rows, dtype=plain, parse_dates=moments, keep_default_na=False, na_values=[""])
    asset = context.data_sources.add_pandas("files").add_dataframe_asset("flights")
    return asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": frame})


def expectation(rule: dict[str, Any], parents: Path) -> Any:
    """The library's word for one of the contract's rules."""
    column, check = rule.get("column"), rule["check"]
    if check == "type":
        return gxe.ExpectColumnTypeToBe(column=column, type_=KINDS[rule["type"]])
    if check == "required":
        return gxe.ExpectColumnValuesToNotBeNull(column=column)
    if check == "range":
        return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=rule["min"], max_value=rule["max"])
    if check == "length":
        return gxe.ExpectColumnValueLengthsToBeBetween(column=column, min_value=rule["min"], max_value=rule["max"])
    if check == "pattern":
        return gxe.ExpectColumnValuesToMatchRegex(column=column, regex=rule["pattern"])
    if check == "enum":
        return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=rule["values"])
    if check == "foreign key":
        table, _, key = rule["to"].partition(".")
        with (parents / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            keys = [row[key] for row in csv.DictReader(file)]
        return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=keys)
    if check == "unique":
        return gxe.ExpectCompoundColumnsToBeUnique(column_list=rule["columns"])
    if check == "row count":
        return gxe.ExpectTableRowCountToBeBetween(min_value=rule["min"])
    if check == "shift of mean":
        return gxe.ExpectColumnMeanToBeBetween(column=column, min_value=rule["min"], max_value=rule["max"])
    if check == "shift of spread":
        return gxe.ExpectColumnStdevToBeBetween(column=column, min_value=rule["min"], max_value=rule["max"])
    raise ValueError(f"no expectation for {check}")


if __name__ == "__main__":
    main(*sys.argv[1:5])

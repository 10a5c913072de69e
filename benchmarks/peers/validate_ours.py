"""Ours: ``mend contract test`` without its command line, in memory, streamed or as it chooses by itself."""

import json
import sys
import time
from pathlib import Path

# What a judgement loads when it is first needed is loaded before the clock starts, as the peers' is.
import pandera.polars  # noqa: F401
import polars as pl

import mend.contract_in_place  # noqa: F401
import shared.adapters.local.sql_engine
import shared.adapters.local.warehouse  # noqa: F401
from mend.contract_trial import read_contract_file, trial


def main(data: str, contract: str, engine: str) -> None:
    """Write ``answer.json``."""
    started = time.perf_counter()
    file = Path(contract)
    named = Path("failing.parquet")
    (found,) = trial(file, read_contract_file(file), data, engine=engine, failing=named)  # type: ignore[arg-type]
    seconds = time.perf_counter() - started
    failed = {f"{each['check']} {each['column']}": each["rows"] for each in found.checks}
    told = {"seconds": seconds, "rows": found.rows_read, "rows_failed": found.rows_failed, "failed": failed}
    told["rows_named"] = pl.scan_parquet(named).select(pl.col("row").n_unique()).collect().item()
    Path("answer.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:4])

"""``datacontract test`` without its command line."""

import json
import sys
import time
from pathlib import Path

from datacontract.data_contract import DataContract  # type: ignore[import-not-found]


def main(data: str, contract: str) -> None:
    """Write ``answer.json``; the place of the data stands in the contract."""
    started = time.perf_counter()
    run = DataContract(data_contract_file=contract).test()
    seconds = time.perf_counter() - started
    failed = {}
    for check in run.checks:
        if check.result != "passed":
            value = (check.diagnostics or {}).get("value")
            failed[f"{check.type} {check.field or ''}"] = value if value is not None else check.reason
    told = {"seconds": seconds, "checks": len(run.checks), "failed": failed, "result": str(run.result)}
    Path("answer.json").write_text(json.dumps(told, default=str), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:3])

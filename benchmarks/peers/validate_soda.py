"""Soda Core over DuckDB: the sixteen checks in its own language; it counts, and names no row."""

import json
import sys
import time
from pathlib import Path

import duckdb
from soda.scan import Scan  # type: ignore[import-not-found]

CHECKS = r"""
checks for orders:
  - row_count > 0
  - missing_count(id) = 0
  - duplicate_count(id) = 0
  - missing_count(customer_id) = 0
  - invalid_count(customer_id) = 0:
      valid min: 1
  - missing_count(status) = 0
  - invalid_count(status) = 0:
      valid values: [planned, shipped, returned, cancelled]
  - invalid_count(country) = 0:
      valid regex: ^[A-Z]{2}$
  - invalid_count(email) = 0:
      valid regex: ^[^@\s]+@[^@\s]+\.[a-z]+$
  - missing_count(amount) = 0
  - invalid_count(amount) = 0:
      valid min: 0
      valid max: 100000
  - invalid_count(quantity) = 0:
      valid min: 1
      valid max: 100
  - invalid_count(discount) = 0:
      valid min: 0
      valid max: 1
  - missing_count(created_at) = 0
  - too_early = 0:
      too_early expression: COUNT(CASE WHEN created_at < TIMESTAMPTZ '2020-01-01 00:00:00+00' THEN 1 END)
  - invalid_count(note) = 0:
      valid max length: 80
"""


def main(data: str) -> None:
    """Write ``answer.json``."""
    started = time.perf_counter()
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW orders AS SELECT * FROM read_parquet('{data}')")
    scan = Scan()
    scan.add_duckdb_connection(connection)
    scan.set_data_source_name("duckdb")
    scan.add_sodacl_yaml_str(CHECKS)
    scan.execute()
    seconds = time.perf_counter() - started
    if scan.has_error_logs():
        raise SystemExit(scan.get_error_logs_text())
    checks = scan.get_scan_results()["checks"]
    failed = {
        f"{each['name']}": (each.get("diagnostics") or {}).get("value") for each in checks if each["outcome"] != "pass"
    }
    told = {"seconds": seconds, "checks": len(checks), "failed": failed}
    Path("answer.json").write_text(json.dumps(told, default=str), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

"""Load: what tables hold after loads, crashes and withdrawals in any order."""

"""Tests of validate: every check is seen failing, and agrees with the oracle on random rows."""

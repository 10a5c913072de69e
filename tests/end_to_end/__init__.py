"""Tests of the whole: the real command line in processes of its own."""

"""Mendline measured against its peers: same rows, same checks, interleaved runs."""

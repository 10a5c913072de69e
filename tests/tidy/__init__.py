"""House rules: how code and text in this repository are written."""

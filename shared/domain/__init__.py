"""The nouns of the field and their legal moves; no clock, no file, no vendor."""

"""Each service alone, in an environment with only its own extra."""

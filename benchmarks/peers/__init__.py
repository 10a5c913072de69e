"""What runs in the peers' environments: one script and one pinned list of requirements each."""

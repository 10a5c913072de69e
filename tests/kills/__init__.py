"""Real processes killed at moments drawn from a seed; see docs/simulation.md."""

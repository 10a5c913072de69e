"""The kernel every service stands on: runtime, adapters, ports, events, domain (each imports only those after it)."""

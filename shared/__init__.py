"""The kernel that every service stands on: domain, events, ports, adapters and runtime."""

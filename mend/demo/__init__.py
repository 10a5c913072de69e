"""The demonstration: a year of real flights, delivered with faults, on one machine."""

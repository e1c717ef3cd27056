"""Faults that strike real banks, one file for each kind: all of them begin, and end."""

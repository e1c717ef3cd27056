"""Ciranda: instant payments between banks, with no bank in the middle."""

__version__ = "0.1.0"

"""Ciranda as the outside sees it: real processes, real databases, real HTTP, and nothing of the product imported."""

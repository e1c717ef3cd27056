"""Atomic commit between banks, as values and pure rules. It knows no money.

The decision on a payment is a register kept by its witnesses (Gray and Lamport, *Consensus on Transaction Commit*,
2006). With one witness it is presumed-abort two-phase commit.
"""

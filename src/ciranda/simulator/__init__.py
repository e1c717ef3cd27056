"""Many whole banks in one thread, under one seed.

Everything of a bank is real here, from the node down to the SQL: its batches, its outboxes, its signatures, its rows.
Only the doors to the world are others. Time is virtual and leaps to the next thing that happens; the dice are seeded;
the disk is SQLite in memory, and can lose its power between any two statements; the network carries bytes, and loses,
delays, doubles and remembers them as it likes. One seed decides all of it, so whatever goes wrong goes wrong again.

- `loop`, `dice`, `disk`, `network`, `bank`: the doors, and a bank between them.
- `world`: a consortium of such banks, their clients, and what happens in which order.
- `faults/`, `workloads/`, `checkers/`: what the world suffers, what it is asked to do, and what must hold; one file
  each. `scenario` composes them from a TOML file of `scenarios/`.
- `run`: one seed; `campaign`: many, on all cores.
"""

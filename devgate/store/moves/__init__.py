"""What of SQLite's rows has gone to PostgreSQL, while the gateway goes on with SQLite.

Its rows are copied in slices. Triggers note the keys of what changes meanwhile, and these rows are
copied again, until the gateway itself is the one that goes over. `store/mover.py` is what
`devgate db move` runs. docs/upgrade.md says what an operator sees of it.
"""

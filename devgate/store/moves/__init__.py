"""Moves the rows of SQLite to PostgreSQL, while the gateway goes on with SQLite.

The rows are copied in slices. Triggers note the keys of rows that change meanwhile, and these are
copied again, until the gateway itself goes on with PostgreSQL. `devgate db move` runs
`store/mover.py`. docs/upgrade.md says what an operator sees.
"""

"""One gateway hands everything over to another program, without a connection being lost.

docs/upgrade.md says what an operator sees of it, and architecture.md section 6 how it goes.
"""

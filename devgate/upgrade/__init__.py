"""A running gateway hands over to another program, without losing a connection.

docs/upgrade.md says what an operator sees, and architecture.md section 6 the steps.
"""

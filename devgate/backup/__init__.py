"""Copies of the database: made while the gateway runs, verified, restored, moved elsewhere."""

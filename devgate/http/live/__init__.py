"""Streams over HTTP: events and frames as they happen."""

"""Responses that go on: events and frames as they happen."""

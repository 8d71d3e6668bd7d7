"""Hostile peers: what a stranger, or a token of a low role, can cost others."""

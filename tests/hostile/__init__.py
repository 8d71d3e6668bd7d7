"""Hostile peers: what an unauthenticated peer, or a token of a low role, can cost others."""

"""Simulated devices, to try a gateway with: the wire, and nothing of the server."""

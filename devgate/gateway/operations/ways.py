"""What callers on the control socket, who show no token, may ask for."""

from __future__ import annotations

from devgate.access.tokens import NEEDS, may


def may_by_socket(role: str, operation: object) -> bool:
    """Whether `[control] role` suffices. What is no operation at all is dispatch()'s to refuse,
    which names those that there are."""
    return may(role, operation) or not (isinstance(operation, str) and operation in NEEDS)

"""What callers on the control socket may ask for: they show no token."""

from __future__ import annotations

from devgate.access.tokens import NEEDS, may


def may_by_socket(role: str, operation: object) -> bool:
    """Whether `[control] role` permits the operation. Unknown operations pass: dispatch() refuses
    them, and names those that there are."""
    return may(role, operation) or not (isinstance(operation, str) and operation in NEEDS)

"""General texts of the API's documents, and who may ask for what."""

from __future__ import annotations

from devgate.access.tokens import NEEDS
from devgate.http.api.endpoints import Call

ABOUT = (
    "Each call carries a token (`Authorization: Bearer dg_...`, made by `devgate token add`). "
    "What did not succeed is never a 2xx: it is a problem (RFC 9457) with devgate's own status as "
    "`code`. A start whose answer is 504 may have been carried out: ask for its command, or ask "
    "again with the same key. With `Accept-Language: zh` the sentences `message` and `detail` of "
    "an answer are Chinese; programs read neither."
)
NEEDS_ROLE = "For the role {role} and above."
NEEDS_OF_TYPE = "For the role that its type needs."


def needs(call: Call) -> str:
    """Who may ask, as a sentence."""
    role = NEEDS.get(call.operation)
    return NEEDS_ROLE.format(role=role) if role else NEEDS_OF_TYPE

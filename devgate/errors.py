"""The errors of devgate, each with its status of control.md section 2.

DevgateError
    CallerError         the request is wrong, or not allowed: nothing was done
        NotThere            what it names does not exist
        TokenRefused        who asks is not known, or may not
    Unknown             it was sent, and nobody knows what came of it
    StoreError          the database cannot be used at the moment
    SetupError          the gateway cannot start or go on as configured
        WrongSettings       what the operator has written is wrong
        DoorInUse           another process listens there
        StoreAway           the database server cannot be reached
        Fenced              another gateway has the database
"""

from __future__ import annotations

from collections.abc import Mapping

# The outcome of each status, which callers branch on. With any other status nothing was sent for
# the request: it was refused, and its key stays free.
OUTCOMES: Mapping[str, str] = {
    "000": "pending",
    "200": "done",
    "201": "failed",
    "202": "failed",
    "408": "unknown",
    "409": "conflict",
}
REFUSED = "refused"


def outcome_of(status: str) -> str:
    """`pending`, `done`, `failed`, `unknown`, `refused` or `conflict`."""
    return OUTCOMES.get(status, REFUSED)


class DevgateError(Exception):
    """The base class: a status for programs, one sentence for people.

    `outcome`: if it differs from that of the status. `more`: further fields of the reply.
    """

    def __init__(
        self,
        status: str,
        text: str,
        *,
        outcome: str | None = None,
        more: Mapping[str, object] = {},
    ) -> None:
        super().__init__(text)
        self.status = status
        self.outcome = outcome or outcome_of(status)
        self.more = more


class CallerError(DevgateError):
    """The request cannot be carried out. Nothing was done."""


class NotThere(CallerError):
    """What the request names does not exist: 400, and 404 over HTTP."""

    def __init__(self, text: str) -> None:
        super().__init__("400", text)


class TokenRefused(CallerError):
    """No token, a wrong one (`why` is "token"), or one whose role is too small ("role")."""

    def __init__(self, text: str, why: str, source: str = "") -> None:
        super().__init__("401", text)
        self.why = why
        self.source = source  # who asked, if that is known


class Unknown(DevgateError):
    """It was sent and no answer came. The device may be running: never repeat it unasked."""


class SetupError(DevgateError):
    """The gateway cannot start or run as configured: a setting, a port, a folder, a database.

    The sentence says what is wrong, where, and what to do. The operator can correct it, so the CLI
    prints it without a traceback.
    """

    def __init__(self, text: str, status: str = "500") -> None:
        super().__init__(status, text)


class WrongSettings(SetupError):
    """What the operator has written in the configuration is wrong, or a file that it names is."""

    def __init__(self, text: str) -> None:
        super().__init__(text, status="400")


class DoorInUse(SetupError):
    """Another process listens at the address or path that this one needs."""


class StoreAway(SetupError):
    """The database server cannot be reached when the gateway starts. A later try may succeed."""

    def __init__(self, text: str) -> None:
        super().__init__(text, status="503")


class StoreError(DevgateError):
    """The database cannot be read or written at the moment. Nothing was lost from memory."""

    def __init__(self, text: str, *, outcome: str | None = None) -> None:
        super().__init__("503", text, outcome=outcome)


class Fenced(SetupError):
    """Another gateway has taken over the database. This one must not send or write any more."""

    def __init__(self, text: str) -> None:
        super().__init__(text, status="503")


def no_device(imei: str) -> CallerError:
    """The error for a device that is not known."""
    return CallerError("300", f"no device with the IMEI {imei} is known")

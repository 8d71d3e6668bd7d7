"""Whose fault it was, and the status of control.md section 2 that says so."""

from __future__ import annotations

from collections.abc import Mapping

# What a caller may branch on: the outcome that a status stands for. Every status that is not
# here says that nothing was sent for the request: it was refused, and its key stays free.
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
    """Root of the tree: a status for machines, one sentence for people.

    `outcome` where it is not the status's own; `more` are further fields of the reply.
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
    """What the request names is not there: 400, which HTTP knows as 404."""

    def __init__(self, text: str) -> None:
        super().__init__("400", text)


class TokenRefused(CallerError):
    """No token, a wrong one (`why` is "token"), or one whose role is too small ("role")."""

    def __init__(self, text: str, why: str, source: str = "") -> None:
        super().__init__("401", text)
        self.why = why
        self.source = source  # who asked, if that is known


class Unknown(DevgateError):
    """It was sent and nothing came back. The device may be running: never repeat it unasked."""


class SetupError(DevgateError):
    """The gateway cannot be what its operator asks for: a setting, a port, a folder, a database.

    The sentence says what is wrong, where, and what to do. It is the operator's to
    mend, so the CLI prints it without a traceback.
    """

    def __init__(self, text: str, status: str = "500") -> None:
        super().__init__(status, text)


class WrongSettings(SetupError):
    """What the operator has written in the configuration is wrong, or a file that it names is."""

    def __init__(self, text: str) -> None:
        super().__init__(text, status="400")


class DoorInUse(SetupError):
    """Another process listens where this one is to."""


class StoreAway(SetupError):
    """The database server cannot be reached when the gateway starts: it may be, a while later."""

    def __init__(self, text: str) -> None:
        super().__init__(text, status="503")


class StoreError(DevgateError):
    """The database cannot be read or written at the moment. Nothing was lost from memory."""

    def __init__(self, text: str, *, outcome: str | None = None) -> None:
        super().__init__("503", text, outcome=outcome)


class Fenced(SetupError):
    """Another gateway has taken over the database. This one may send and write nothing more."""

    def __init__(self, text: str) -> None:
        super().__init__(text, status="503")


def no_device(imei: str) -> CallerError:
    """The error for a device that is not known."""
    return CallerError("300", f"no device with the IMEI {imei} is known")

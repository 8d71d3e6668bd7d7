"""Whose fault it was, and the status of control.md section 2 that says so."""

from __future__ import annotations


class DevgateError(Exception):
    """Root of the tree: a status for machines, one sentence for people."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


class CallerError(DevgateError):
    """The request cannot be carried out. Nothing was done."""


class NotSent(DevgateError):
    """A sound request that met no device. Nothing was sent; it may be asked again."""


class Unknown(DevgateError):
    """It was sent and nothing came back. The device may be running: never repeat it unasked."""


class SetupError(DevgateError):
    """The gateway cannot be what its operator asks for: a setting, a port, a folder, a database.

    The sentence says what is wrong, where, and what to do. It is the operator's to
    mend, so the CLI prints it without a traceback.
    """

    def __init__(self, text: str, status: str = "500") -> None:
        super().__init__(status, text)


class StoreError(DevgateError):
    """The database cannot be read or written at the moment. Nothing was lost from memory."""

    def __init__(self, text: str) -> None:
        super().__init__("503", text)

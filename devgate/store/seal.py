"""Secrets in the database, encrypted with a key that is not in it.

Who reads the database, or a copy of it, learns no secret without the key file. The form is
Fernet's (AES-128-CBC and HMAC-SHA256), so that any program with that library can read it, too.
"""

from __future__ import annotations

import os
from pathlib import Path

from devgate.store.folders import sync_folder

PREFIX = "fernet:"  # in front of what is encrypted; a secret without it stands there as it is


class SealError(Exception):
    """A sentence about a key that is missing or of no use. It holds no secret."""


class Seal:
    """The key in one file. Blocks: for a thread. The file is made when it is first needed."""

    def __init__(self, path: str) -> None:
        self._path = path

    @staticmethod
    def is_closed(text: str) -> bool:
        """Whether a secret is encrypted, by how it begins."""
        return text.startswith(PREFIX)

    def close(self, secret: str, *, may_make: bool) -> str:
        """The secret, encrypted. `may_make`: a missing key is made, for nothing has been
        encrypted with an earlier one. Raises SealError."""
        from cryptography.fernet import Fernet

        return PREFIX + Fernet(self._key(may_make)).encrypt(secret.encode()).decode()

    def open(self, text: str) -> str:
        """The secret itself. Raises SealError if this is not the key, or there is none."""
        from cryptography.fernet import Fernet, InvalidToken

        if not self.is_closed(text):
            return text
        try:
            return Fernet(self._key(False)).decrypt(text.removeprefix(PREFIX)).decode()
        except InvalidToken:
            raise SealError(
                f"the key file {self._path} is not the one that this secret was encrypted with: "
                "restore that file, or add the webhook or receiver again"
            ) from None

    def _key(self, may_make: bool) -> bytes:
        from cryptography.fernet import Fernet

        try:
            key = self._make() if may_make and not os.path.exists(self._path) else self._read()
            Fernet(key)
        except FileNotFoundError:
            raise SealError(
                f"the key file {self._path} is missing, and secrets were encrypted with it: "
                "restore it (a node of a cluster: copy it from another node) and start again, or "
                "remove the webhooks and the receivers of alerts and add them again"
            ) from None
        except OSError as err:
            raise SealError(
                f"the key file {self._path} cannot be used: {err.strerror}; set [store] key_file "
                "to a file that the gateway can make"
            ) from None
        except ValueError:
            raise SealError(
                f"the key file {self._path} holds no key (44 characters of base64)"
            ) from None
        return key

    def _read(self) -> bytes:
        with open(self._path, "rb") as file:
            return file.read(200).strip()

    def _make(self) -> bytes:
        """Make the key file, for its owner alone. It is complete and on the disk before it is
        used."""
        from cryptography.fernet import Fernet

        key, path = Fernet.generate_key(), Path(self._path)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(key + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(part, path)  # never over one that is there
        except FileExistsError:
            return self._read()
        finally:
            os.unlink(part)
        sync_folder(path.parent)
        return key

"""TLS, the server's side of one connection. Bytes in, bytes out: it has no socket."""

from __future__ import annotations

import contextlib
import os
import ssl
from typing import NamedTuple

from devgate.errors import SetupError

RECORD_BYTES = 16384  # the most plain bytes that one TLS record carries

Path = str | os.PathLike[str]


class Turn(NamedTuple):
    """The result of some bytes from the socket."""

    plain: bytes
    wire: bytes
    """To be sent as it is: answers of the handshake, an alert, or close_notify."""

    closed: bool
    """No more bytes will come. `Tls.why` says why, unless the peer ended it properly."""


class Tls:
    """One TLS connection, from its hello to its end."""

    __slots__ = ("_in", "_out", "_tls", "open", "why")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self.open = False  # the handshake has been made
        self.why = ""

    def receive(self, data: bytes) -> Turn:
        """Process bytes of the socket; empty bytes are its end."""
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()
        plain: list[bytes] = []
        closed = True
        try:
            if not self.open:
                self._tls.do_handshake()
                self.open = True
            while chunk := self._tls.read(RECORD_BYTES):
                plain.append(chunk)
        except ssl.SSLWantReadError:
            closed = not data
        except ssl.SSLEOFError:
            # The socket has ended without close_notify. Devices that lose their network, or save
            # bytes, end like this. Each frame has its length, so a cut frame is noticed.
            if not self.open:
                self.why = "TLS handshake failed: closed by the device"
        except ssl.SSLError as err:
            self.why = f"TLS {'failed' if self.open else 'handshake failed'}: {_reason(err)}"
        return Turn(b"".join(plain), self._out.read(), closed)

    def send(self, plain: bytes) -> bytes:
        """The bytes for the socket. Empty: it cannot be sent (before the handshake, after a
        failure)."""
        view = memoryview(plain)
        try:
            while view:
                view = view[self._tls.write(view) :]  # one record at a time
        except ssl.SSLError as err:
            self.why = self.why or f"TLS failed: {_reason(err)}"
            return b""
        return self._out.read()

    def close(self) -> bytes:
        """The bytes that end the stream properly; empty if there is no stream."""
        if not self.open or self.why:
            return b""
        with contextlib.suppress(ssl.SSLError):  # it expects the peer's close_notify
            self._tls.unwrap()
        return self._out.read()


# Of TLS 1.2 only ciphers with forward secrecy and authenticated encryption. TLS 1.3 has no others.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class TlsFileError(SetupError):
    """A file of TLS cannot be used. `key`: the name of the setting that names the file."""

    def __init__(self, text: str, key: str) -> None:
        super().__init__(text)
        self.key = key


def context(certificate: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 and up with this certificate (chain) and key, both PEM files.

    With `client_ca` (a PEM file, too) only devices with a certificate of that authority get in.
    Reads files. Raises TlsFileError, naming the file.
    """
    _must_hold(certificate, "BEGIN CERTIFICATE", "certificate", "certificate")
    _must_hold(key, "PRIVATE KEY", "private key", "key")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(CIPHERS)
    made.options |= ssl.OP_NO_RENEGOTIATION  # otherwise a device can cause work without limit

    def no_password() -> str:
        text = f"TLS key {os.fspath(key)}: it has a password; give one without"
        raise TlsFileError(text, "key")

    try:
        made.load_cert_chain(certificate, key, password=no_password)
    except ssl.SSLError as err:
        if err.reason == "KEY_VALUES_MISMATCH":
            what = "the key is not the certificate's; give the pair that belongs together"
        else:
            what = f"one of them cannot be read ({_reason(err)}); PEM files expected"
        raise TlsFileError(
            f"TLS certificate {os.fspath(certificate)}, key {os.fspath(key)}: {what}",
            "certificate",
        ) from err
    if client_ca:
        _must_hold(client_ca, "BEGIN CERTIFICATE", "client_ca", "client_ca")
        try:
            made.load_verify_locations(client_ca)
        except ssl.SSLError as err:
            raise TlsFileError(
                f"TLS client_ca {os.fspath(client_ca)}: it cannot be read ({_reason(err)}); "
                "PEM certificates expected",
                "client_ca",
            ) from err
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def client_context(certificate: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """The client's side of `context`, to connect to a server of the same kind.

    The certificate of the server must be for the name or address that is connected to, and of an
    authority in `client_ca` (a PEM file); without that file, of one that the system trusts. With
    it, this side shows its own certificate, too, because such a server asks for one.
    Reads files. Raises TlsFileError, naming the file.
    """
    context(certificate, key, client_ca)  # says what is wrong with the files
    made = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=client_ca)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(CIPHERS)
    if client_ca:
        made.load_cert_chain(certificate, key)
    return made


def _must_hold(path: Path, mark: str, what: str, key: str) -> None:
    """Raises TlsFileError for a missing or wrong file: the ssl module does not say which it is."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read()
    except OSError as err:
        raise TlsFileError(
            f"TLS {what} {os.fspath(path)}: {(err.strerror or str(err)).lower()}; "
            "give a file that devgate can read",
            key,
        ) from err
    if mark not in text:
        text = f"TLS {what} {os.fspath(path)}: no {mark!r} in it; a PEM file expected"
        raise TlsFileError(text, key)


def _reason(err: ssl.SSLError) -> str:
    """OpenSSL's short reason in small letters: "wrong version number"."""
    return (err.reason or err.strerror or str(err)).replace("_", " ").lower()

"""What a connection pooler such as PgBouncer does when its connection to the server breaks."""

from __future__ import annotations

import select
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_FIELDS = b"SFATAL\0VFATAL\0C08P01\0Mserver conn crashed?\0\0"
FATAL = b"E" + (len(_FIELDS) + 4).to_bytes(4, "big") + _FIELDS
READY = b"Z\0\0\0\5I"  # the server has carried out all, and is in no transaction


class Pooler:
    """Between one client and the server, by their Unix sockets."""

    def __init__(self, listener: socket.socket, server: str) -> None:
        self.breaks = False  # once the server has carried out what comes next
        self._listener = listener
        self._server = server

    def run(self) -> None:
        """Until the listener is shut down."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._server)
            held = b""
            while True:
                for sock in select.select([client, server], [], [])[0]:
                    data = sock.recv(65536)
                    if not data:
                        return
                    if sock is client:
                        server.sendall(data)
                    elif not self.breaks:
                        client.sendall(data)
                    elif (held := held + data).endswith(READY):
                        self.breaks = False
                        client.sendall(FATAL)
                        return


@contextmanager
def pooled(url: str) -> Iterator[tuple[Pooler, str]]:
    """A pooler before that database, and the URL of the database behind it."""
    [host] = parse_qs(urlsplit(url).query)["host"]
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/.s.PGSQL.5432")
        listener.listen()
        pooler = Pooler(listener, str(Path(host) / ".s.PGSQL.5432"))
        thread = threading.Thread(target=pooler.run)
        thread.start()
        try:
            yield pooler, url.replace(host, folder)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()

"""Finds what a configuration exposes: plain text off loopback, wide file modes, readable
secrets."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from devgate.config.addresses import loopback
from devgate.config.settings import Settings

OTHERS = 0o006  # a socket's bits: anybody on this machine may command
READ = 0o004
# What plain text exposes, and when that is intended.
PROXIED = "tokens and passwords", "a proxy or a tunnel ends TLS"
PRIVATE = "the nodes' secret", "the network between the nodes is private"


def exposed(settings: Settings) -> Iterator[str]:
    """A sentence for each. Devices are not among them: their protocol is plain text."""
    control, http = settings.control, settings.http
    cluster = settings.cluster
    if control.tls is None and not control.plain:
        yield from _plain("control", control.listen, *PROXIED)
    if http.tls is None and not http.plain and not http.public.startswith("https:"):
        yield from _plain("http", http.listen, *PROXIED)
    if cluster.node and cluster.tls is None and not cluster.plain:
        yield from _plain("cluster", cluster.listen, *PRIVATE)
    if control.mode & OTHERS:
        yield (
            f"control.mode: {control.mode:04o} lets every user of this machine command devices; "
            '"0660" lets the socket\'s group'
        )
    for key, file in secret_files(settings):
        try:
            mode = stat.S_IMODE(os.stat(file).st_mode)
        except OSError:
            continue  # it does not exist yet, or its user reports the error
        if mode & READ:
            yield (
                f"{key}: {file} can be read by every user of this machine (mode {mode:04o}): "
                "chmod o-rwx it"
            )


def _plain(table: str, listen: list[str], among: str, where: str) -> Iterator[str]:
    for address in listen:
        if not loopback(address):
            yield (
                f"{table}.listen: {address} is not loopback and speaks plain text, {among} "
                f"among it: set [{table}.tls], or plain = true in [{table}] where {where}"
            )


def secret_files(settings: Settings) -> Iterator[tuple[str, str]]:
    """The files that hold secrets, each with its key. They need not be there."""
    if settings.store.url.startswith("sqlite:///"):
        yield "store.url", settings.store.url.removeprefix("sqlite:///")
    files = {
        "store.key_file": settings.store.key_file,
        "store.password_file": settings.store.password_file,
        "control.tokens": settings.control.tokens,
        "http.users": settings.http.users,
        "http.secret": settings.session_file,
        "http.oidc.client_secret_file": settings.http.oidc.client_secret_file,
    }
    for name in ("device", "control", "http", "cluster"):
        tls = getattr(settings, name).tls
        files[f"{name}.tls.key"] = tls.key if tls else ""
    for webhook in settings.webhook:
        files[f"[[webhook]] {webhook.called} secret_file"] = webhook.secret_file
    yield from ((key, file) for key, file in files.items() if file)

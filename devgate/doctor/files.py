"""Files that the configuration names: who can read them, and how long certificates last."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from devgate.access import secret_file
from devgate.config.exposure import exposed
from devgate.config.settings import Settings
from devgate.config.tls import TlsSettings
from devgate.doctor.finding import Finding, Findings, error, ok, warning
from devgate.door_tls import tables, tls_of
from devgate.errors import SetupError

SOON_DAYS, VERY_SOON_DAYS = 21, 3  # automatic renewal happens earlier
RENEW = "renew it: the gateway takes it up by itself, within a minute"


def examine(settings: Settings) -> Findings:
    """Files that others can read, and certificates that expire."""
    found = [
        warning("exposure", words, "see docs/security.md, and SECURITY.md for the reasons")
        for words in exposed(settings)
    ]
    yield from found or [ok("exposure", "no secret and no plain text lies open")]
    if settings.http.listen and (file := settings.session_file):
        try:
            secret_file.secret_of(file, ours=not settings.http.secret, make=False)
        except SetupError as err:
            yield error("sessions", str(err), "the gateway does not start until then")
        except FileNotFoundError:
            yield ok("sessions", f"{file} is made at the next start")
        else:
            yield ok("sessions", f"a login outlives a restart: {file}")
    for name, tls in tables(settings).items():
        yield _certificate(name, tls, datetime.now(UTC))


def _certificate(name: str, tls: TlsSettings, now: datetime) -> Finding:
    try:
        tls_of(tls)
        chain = x509.load_pem_x509_certificates(Path(tls.certificate).read_bytes())
    except (SetupError, OSError, ValueError) as err:
        return error("certificates", f"[{name}]: {err}", "mend the files that it names")
    until = min(one.not_valid_after_utc for one in chain)
    since = max(one.not_valid_before_utc for one in chain)
    words = f"[{name}]: {tls.certificate} is valid until {until:%Y-%m-%d}"
    days = math.floor((until - now).total_seconds() / 86400)
    if now < since:
        return error("certificates", f"{words}, and only from {since:%Y-%m-%d} on", RENEW)
    if days < 0:
        return error("certificates", f"{words}: it has expired", RENEW)
    if days < VERY_SOON_DAYS:
        return error("certificates", f"{words}: {days} days are left", RENEW)
    if days < SOON_DAYS:
        return warning("certificates", f"{words}: {days} days are left", RENEW)
    return ok("certificates", words)

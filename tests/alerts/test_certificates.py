"""Certificates that expire: read from their files, reported by attention and by rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from devgate.alerts.certificates import Certificates
from devgate.gateway.reports import attention
from devgate.store.absence import Absence

NOW = datetime(2026, 11, 26, tzinfo=UTC)


async def test_the_first_of_a_chain_counts(tmp_path: Path) -> None:
    authority = trustme.CA()
    soon = authority.issue_cert("a.example", not_after=NOW + timedelta(days=9))
    chain = soon.cert_chain_pems[0].bytes() + authority.cert_pem.bytes()
    (tmp_path / "soon.pem").write_bytes(chain)
    authority.cert_pem.write_to_path(tmp_path / "later.pem")
    (tmp_path / "no.pem").write_text("no certificate")
    files = {
        "http.tls": str(tmp_path / "soon.pem"), "device.tls": str(tmp_path / "later.pem"),
        "control.tls": str(tmp_path / "no.pem"), "cluster.tls": str(tmp_path / "gone.pem"),
    }  # fmt: skip
    known = await Certificates(lambda: files).known()
    assert known[0].expires == (NOW + timedelta(days=9)).timestamp()
    assert [one.door for one in known] == ["http.tls", "device.tls"]

    def found(day: int) -> list[tuple[object, object, object]]:
        items = attention.found(
            store="ok", unknown=0, dark=(), absence=attention.absent(
                Absence(0, 0, 0, 0, 0, [], {}), 0, 1
            ), failing=None, strangers=0, webhooks=(), odd=0, certificates=known[:1],
            now=(NOW + timedelta(days=day)).timestamp(),
        )  # fmt: skip
        return [(one["kind"], one["level"], one["detail"]) for one in items]

    expires = "2026-12-05T00:00:00.000Z"
    assert found(-13) == []
    assert found(0) == [("certificate", "warning", expires)]
    assert found(10) == [("certificate", "critical", expires)]

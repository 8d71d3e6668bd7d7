"""A device's name is no formula in the spreadsheet of whoever exports the list."""

from __future__ import annotations

import csv
import urllib.request
from io import StringIO

from tests.e2e.harness import gateway

FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "＝1+1")  # noqa: RUF001
PLAIN = "Bay 4"


def test_an_export_for_a_spreadsheet_holds_no_formula() -> None:
    """L3: the export gives `=cmd|...` as it is, for the import takes it back; there is a form for
    people besides."""
    settings = {"http": {"listen": "127.0.0.1:0"}, "control": {"tokens": "tokens"}}
    rows = [
        {"imei": f"860000000000{number:03}", "name": name}
        for number, name in enumerate((*FORMULAS, PLAIN))
    ]
    with gateway(settings, devices=rows) as served:
        secret = served.cli("token", "add", "reader", "--role", "read").stdout.strip()
        [door] = served.ask({"type": "status"})["listen"]["http"]

        def export(query: str) -> str:
            head = {"Authorization": f"Bearer {secret}"}
            url = f"http://{door}/api/devices/export{query}"
            with urllib.request.urlopen(urllib.request.Request(url, None, head)) as response:
                text: str = response.read().decode()
            return text

        def names(text: str) -> list[str]:
            rows = list(csv.DictReader(StringIO(text.removeprefix("\ufeff"))))
            return [row["name"] for row in rows]

        safe = [*(f"'{name}" for name in FORMULAS), PLAIN]
        by_cli = served.cli("devices", "export", "--spreadsheet").stdout
        for text in (export("?for=spreadsheet"), by_cli):
            assert text.startswith("\ufeffimei,"), "a spreadsheet takes it for UTF-8"
            assert names(text) == safe
        for text in (export(""), export("?for=import"), served.cli("devices", "export").stdout):
            assert names(text) == [*FORMULAS, PLAIN], "what the import takes back unchanged"

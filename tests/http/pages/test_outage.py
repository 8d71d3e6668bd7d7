"""With the database away pages are drawn from memory, under a banner, in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.caller import eventually
from tests.http.harness import Site, site
from tests.http.pages.test_live import following, live
from tests.http.visitor import visitor
from tests.postgres import Postgres

HERE, GONE = "860000000000001", "860000000000002"
PAGES = (
    "/", "/devices", "/devices?q=bay", "/devices?state=online", "/devices?state=offline",
    f"/devices/{HERE}", f"/devices/{GONE}", "/orders", "/orders?key=none",
    f"/devices/{HERE}/start?long=1h", f"/devices/{HERE}/stop", "/labels?site=East",
    f"/labels?imei={HERE}", "/unknown-devices", "/maintenance", "/map", "/alerts", "/reports",
    "/unknown", "/settings/audit",
)  # fmt: skip


@contextmanager
def without_database(running: Site, postgres: Postgres | None) -> Iterator[None]:
    file = running.folder / "devgate.db"
    if postgres is not None:
        postgres.stop()
        yield
        postgres.start()
    else:
        file.rename(file.with_suffix(".away"))
        yield
        file.with_suffix(".away").rename(file)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_pages_are_drawn_from_memory(kind: str, request: pytest.FixtureRequest) -> None:
    """D13, D14: every page was a bare 503, and a Chinese one had English sentences."""
    postgres: Postgres | None = None
    settings: dict[str, dict[str, object]] = {}
    if kind == "postgresql":
        postgres = request.getfixturevalue("postgres")
        settings["store"] = {"url": request.getfixturevalue("postgres_url")}
    with site(settings) as running, visitor(running.url) as someone:
        running.add_devices(
            [{"imei": f"8600000000000{n:02}", "name": f"Bay {n}", "site": "East"}
             for n in range(1, 61)]
        )  # fmt: skip
        someone.log_in(token=running.tokens["admin"])
        with running.register(HERE):
            running.until(HERE, "online", True)
            page = someone.get("/devices")
            assert "<b>The database" not in page
            with (
                without_database(running, postgres),
                following(someone.client, live(page)) as stream,
            ):
                eventually(lambda: running.ask({"type": "status"})["store"], lambda s: s != "ok")
                banner = next(parts["banner"] for _, parts in stream if "banner" in parts)
                assert "<b>The database" in banner, "an open page says so by itself"
                for path in PAGES:
                    page = someone.get(path)
                    assert "<b>The database is away" in page, path
                assert "Bay 1<" in someone.get("/devices?state=online")
                offline = someone.get("/devices?state=offline")
                assert "Bay 1<" not in offline
                assert "Bay 51<" in offline
                assert "Bay 60<" in someone.get("/devices?after=860000000000050")
                assert "Idle" in someone.get(f"/devices/{HERE}")
                someone.client.cookies.set("devgate_language", "zh")
                for path in PAGES:
                    assert not english(someone.get(path)), path
                for path, status in (("/devices/860000000009999", 404), ("/devices/12", 400)):
                    assert not english(someone.get(path, status)), path
                fields = {
                    **someone.fields(f"/devices/{HERE}/start?long=60", f"/devices/{HERE}/start")
                }
                refused = someone.post(f"/devices/{HERE}/start", fields, 503)
                assert "未发送任何内容" in refused
                assert not english(refused)
            if postgres is not None:
                eventually(lambda: running.ask({"type": "status"})["store"], lambda s: s == "ok")
                assert "数据库不可用" not in someone.get("/")


def english(page: str) -> list[str]:
    """Three English words in a row in what a Chinese page shows: no name has as many."""
    body = re.sub(r"(?s)<title>.*?</title>|<code.*?</code>|<svg.*?</svg>", "", page)
    shown = re.sub(r"(?s)<[^>]*>", "|", body)
    return re.findall(r"\b[A-Za-z]+ [a-z]+ [a-z]+\b", shown)


def test_an_open_page_is_read_anew_when_the_database_is_back(
    postgres: Postgres, postgres_url: str
) -> None:
    """D13: a page that was drawn from memory kept its banner until its next regular drawing."""
    with site({"store": {"url": postgres_url}}) as running, visitor(running.url) as someone:
        running.add_devices([{"imei": HERE, "name": "Bay 1"}, {"imei": GONE, "name": "Bay 2"}])
        someone.log_in(token=running.tokens["command"])
        postgres.stop()
        eventually(lambda: running.ask({"type": "status"})["store"], lambda s: s != "ok")
        page = someone.get("/devices")
        with following(someone.client, live(page)) as stream:
            news = (parts or {} for _, parts in stream)
            assert "<b>The database is away" in next(news)["banner"]
            postgres.start()
            eventually(lambda: running.ask({"type": "status"})["store"], lambda s: s == "ok")
            banners: list[str] = []
            with running.register(HERE):
                for parts in news:
                    banners += [parts["banner"]] if "banner" in parts else []
                    if any("Idle" in part for part in parts.values()):
                        break
            assert banners
            assert "The database" not in banners[-1], "it was gone no later than the next row"

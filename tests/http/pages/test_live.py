"""What live pages are sent, over a real socket."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
import pytest

from devgate.access.users import add
from devgate.http import pages
from devgate.http.pages.drawing import templates
from tests.e2e.harness import Settings
from tests.http.harness import Site, Sse, site, streaming
from tests.http.visitor import NAME, PASSWORD, Visitor, visitor

LIVE = re.compile(r'data-live="([^"]+)"')
LISTED = "860000000000001"


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    settings: Settings = {"http": {"users": "users"}}
    rows = [{"imei": f"8600000000000{n:02}", "name": f"Bay {n}"} for n in range(60)]
    with site(settings, devices=rows) as running:
        add(running.folder / "users", NAME, "command", PASSWORD)
        yield running


def live(page: str) -> str:
    found = LIVE.search(page)
    assert found, "the page lives"
    return unescape(found[1])


def following(client: httpx.Client, path: str) -> AbstractContextManager[Sse]:
    # httpx drops the query of a path that is given others, even none.
    bare, _, query = path.partition("?")
    return streaming(client, bare, **dict(parse_qsl(query, keep_blank_values=True)))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", {"Online now": "当前在线", "Latest commands": "最新指令"}),
        ("/devices?q=Bay", {"Name": "名称", "Labels for the selected": "打印所选设备的贴纸"}),
        (f"/devices/{LISTED}?day=", {"Connected since": "上线时间"}),
    ],
)
def test_a_page_is_sent_its_parts(
    served: Site, someone: Visitor, path: str, words: Mapping[str, str]
) -> None:
    page = someone.get(path)
    someone.client.cookies.set("devgate_language", "zh")
    with served.register(LISTED), following(someone.client, live(page)) as stream:
        served.until(LISTED, "online", True)
        name, parts = next(iter(stream))
    assert name == "parts"
    assert set(parts) == set(re.findall(r'data-part="(\w+)"', page))
    for part, html in parts.items():
        assert f'data-part="{part}"' in html
        assert html.replace("\n", "").isprintable(), "no control characters"
    whole = "".join(parts.values())
    for english, chinese in words.items():
        assert chinese in whole, "in the viewer's language"
        assert english not in whole
    assert re.search(r"<time [^>]*></time>", whole), "the script fills in times"
    assert not re.search(r"<time [^>]*>[^<]", whole)


def test_only_what_changed_is_sent(served: Site, someone: Visitor) -> None:
    imei = "860000000000005"
    with following(someone.client, live(someone.get(f"/devices/{imei}"))) as stream:
        states = ((parts, parts["state"]) for _, parts in stream if "state" in parts)
        with served.register(imei):
            next(parts for parts, state in states if "Connected since" in state)
        parts = next(parts for parts, state in states if "Offline since" in state)
    assert "events" in parts
    assert "commands" not in parts


def test_a_row_of_a_list_is_sent_by_itself(served: Site, someone: Visitor) -> None:
    """D12: a list was up to 24 s behind beside the word Live."""
    one, other = "860000000000007", "860000000000008"
    with following(someone.client, live(someone.get("/devices?q=Bay"))) as stream:
        rows = (parts for _, parts in stream)
        with served.register(one):
            next(
                parts
                for parts in rows
                if one in (all_rows := parts.get("devices", "")) and "Idle" in all_rows
            )
            with served.register(other):
                row = next(parts for parts in rows if f"devices/{other}" in parts)
                assert set(row) == {f"devices/{other}"}, "and nothing else"
                [html] = row.values()
                assert html.count("<tr") == 1
                assert "Idle" in html
                assert f'data-part="devices/{other}"' in html


def test_every_part_is_a_block_of_its_own() -> None:
    """The server sends the blocks of a template, and the script replaces the parts of a page."""
    folder = Path(pages.__file__).parent / "templates"
    files = list(folder.glob("*.html"))
    assert files
    for file in files:
        found = set(re.findall(r'data-part="(\w+)"', file.read_text("utf-8")))
        # `section` is the main block of the pages of settings, which are not live.
        blocks = set(templates.get_template(file.name).blocks) - {"main", "section"}
        assert found == blocks, file.name


def test_who_may_only_look_sees_no_button(served: Site) -> None:
    with visitor(served.url) as reader, visitor(served.url) as other:
        reader.log_in(token=served.tokens["read"])
        other.log_in(token=served.tokens["command"])
        paths = [live(one.get("/devices?q=Bay")) for one in (reader, other)]
        served.add_devices([{"imei": "860000000000099", "name": "Bay 99"}])
        for one, path, may in zip((reader, other), paths, (False, True), strict=True):
            with following(one.client, path) as stream:
                _, parts = next(iter(stream))
            assert (">Start<" in parts["devices"]) == may


def test_nothing_is_followed_without_a_session(served: Site) -> None:
    with visitor(served.url) as peer:
        for path in ("/live/", "/live/devices", f"/live/devices/{LISTED}"):
            answer = peer.client.get(path, headers={"Accept": "text/event-stream"})
            assert answer.status_code == 401


def test_a_stream_ends_well_with_its_gateway() -> None:
    with site() as running, visitor(running.url) as someone:
        someone.log_in(token=running.tokens["read"])
        path = live(someone.get("/"))
        with someone.client.stream("GET", path) as response:
            running.terminate()
            assert b"".join(response.iter_raw()).endswith(b"\n\n")

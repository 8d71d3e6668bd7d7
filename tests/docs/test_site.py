"""The documentation site (scripts/site): both languages whole, links, and no other host."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli
from documenting import built, making, staging
from documenting.links import BrokenLink, rewritten
from documenting.plan import DOCS, LANGUAGES, ROOT, pages
from documenting.reference import commands, http_api, metrics, settings
from documenting.words import NoChinese, own, said

from devgate.config.settings import Settings
from devgate.config.table import keys_of
from devgate.events.kinds import KINDS
from devgate.http.api.endpoints import CALLS
from tests.e2e.caller import knowing


@pytest.fixture(scope="module")
def said_by_a_gateway() -> Iterator[str]:
    http = {"listen": "127.0.0.1:0", "metrics_public": True}
    with knowing({"http": http}) as gateway:
        [door] = gateway.ask({"type": "status"})["listen"]["http"]
        with urllib.request.urlopen(f"http://{door}/metrics", timeout=30) as reply:
            yield reply.read().decode()


@pytest.fixture(scope="module")
def site(said_by_a_gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "out"
    making.make(out, said_by_a_gateway)
    return out


def test_the_site_is_whole_and_asks_no_other_host(site: Path) -> None:
    assert built.wrong(site) == []
    for page in pages():
        name = page.removesuffix(".md") + ".html"
        assert (site / name).is_file()
        assert (site / "zh" / name).is_file()
    assert json.loads((site / "openapi.json").read_text("utf-8"))["openapi"].startswith("3.1")


def test_the_switch_of_languages_leads_to_the_same_page(site: Path) -> None:
    english = (site / "guides" / "tls.html").read_text("utf-8")
    chinese = (site / "zh" / "guides" / "tls.html").read_text("utf-8")
    assert 'href="../zh/guides/tls.html"' in english
    assert 'href="../../guides/tls.html"' in chinese
    assert '<html lang="zh"' in chinese or "<html lang=zh" in chinese


def test_a_page_that_fetches_from_elsewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<link rel="stylesheet" href="https://a.example/x.css"><script src="//b.example/y.js">'
        '</script><a href="https://c.example/">fine</a><a href="b.html#there">no</a>'
    )
    (tmp_path / "b.html").write_text('<h1 id="here">b</h1>')
    (tmp_path / "c.css").write_text("@font-face { src: url(https://d.example/f.woff2) }")
    found = "\n".join(built.wrong(tmp_path))
    for name in ("a.example", "b.example", "d.example", "b.html#there"):
        assert name in found
    assert "c.example" not in found


def test_every_document_is_a_page() -> None:
    assert staging.unplanned() == []


def test_a_link_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(BrokenLink, match="is not there"):
        rewritten("[there](nowhere.txt)\n", DOCS / "manual.md", "manual.md")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_reference_has_everything(language: str, said_by_a_gateway: str) -> None:
    text = making.generated("zh" if language == "zh" else "en", said_by_a_gateway)
    keys = text["reference/settings.md"]
    for *table, key in keys_of(Settings):
        [rows] = re.findall(rf"^## `\[{re.escape('.'.join(table))}\]`\n(.*?)(?=^## |\Z)", keys,
                            re.MULTILINE | re.DOTALL)  # fmt: skip
        assert f"| `{key}` |" in rows
    for kind in KINDS:
        assert f"| `{kind}` |" in text["reference/events.md"]
    for call in CALLS:
        assert f"`{call.method} {call.path}`" in text["reference/http-api.md"]
    for metric in metrics.families(said_by_a_gateway):
        assert f"| `{metric.name}` |" in text["reference/metrics.md"]
    for command in ("start", "devices import", "backup", "webhooks add"):
        assert f"`devgate {command}`" in text["reference/commands.md"]


def test_a_default_of_the_reference_is_that_of_the_file() -> None:
    page = settings.page("en")
    file = tomli.loads((ROOT / "gateway.toml").read_text("utf-8"))
    assert file["command"]["late_window"] == 60
    assert "| `late_window` | `60` |" in page


def test_help_is_in_the_language_of_the_page() -> None:
    assert "用法" in commands.page("zh")
    assert "Usage: devgate start" in commands.page("en")


def test_a_group_of_calls_is_not_called_like_a_page() -> None:
    assert "## 指令\n" in http_api.page("zh"), "of the API, where the command line has 命令"


def test_a_sentence_without_chinese_is_refused() -> None:
    with pytest.raises(NoChinese):
        said("zh", "nobody has translated this")


def test_no_chinese_is_left_over(said_by_a_gateway: str) -> None:
    """What nothing says any more is removed from scripts/documenting/zh.toml."""
    english = "".join(making.generated("en", said_by_a_gateway).values())
    flat = re.sub(r"\s+", " ", english.replace("\\|", "|"))
    left = [key for key in own() if not key.startswith("ABOUT ") and key not in flat]
    assert left == []

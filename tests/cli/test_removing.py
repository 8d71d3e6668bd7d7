"""Commands that remove something ask, or need --yes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.caller import knowing
from tests.e2e.harness import Gateway, Settings

IMEI = "860000000000001"


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    settings: Settings = {
        "control": {"tokens": "tokens", "private_webhooks": True},
        "http": {"listen": "127.0.0.1:0", "users": "users"},
    }
    with knowing(settings) as running:
        yield running


@pytest.mark.parametrize(
    ("words", "before"),
    [
        (("devices", "remove", IMEI), None),
        (("webhooks", "remove", "shop"), ("webhooks", "add", "shop", "http://127.0.0.1:9/")),
        (("token", "remove", "shop"), ("token", "add", "shop")),
        (("user", "remove", "wang"), None),
    ],
)
def test_without_a_terminal_nothing_is_removed_unless_told_yes(
    served: Gateway, words: tuple[str, ...], before: tuple[str, ...] | None
) -> None:
    """D18: `devices remove` and `webhooks remove` removed without a question in cron or xargs."""
    if before is not None:
        assert served.cli(*before).returncode == 0
    elif words[0] == "user":
        done = served.cli("user", "add", "wang", text="a long password\n" * 2)
        assert done.returncode == 0, done.stderr
    for text in ("", "n\n", "what?\n"):
        done = served.cli(*words, text=text)
        assert (done.returncode, done.stdout) == (2, "")
        assert "only with --yes; nothing was done" in done.stderr
    assert served.cli(*words, "--yes").returncode == 0
    assert served.cli(*words, "--yes").returncode != 0, "it was there until then"


def test_a_yes_that_is_piped_in_is_an_answer(served: Gateway) -> None:
    """D18: `yes | devgate devices remove IMEI` asked nevertheless."""
    assert served.cli("devices", "remove", "860000000000002", text="y\ny\n").returncode == 0


def test_a_token_that_is_added_may_command_and_no_more(served: Gateway) -> None:
    """D29: without a role it was a token of an admin."""
    assert served.cli("token", "add", "plain").returncode == 0
    assert "plain  command" in served.cli("token", "list").stdout
    words = served.cli("token", "add", "--help").stdout
    assert "[default: command]" in words
    assert "HTTP" in served.cli("token", "--help").stdout
    assert "TCP" in served.cli("token", "--help").stdout

"""A login through the provider that begins at one node and ends at another."""

from __future__ import annotations

from tests.e2e.caller import eventually
from tests.http.oidc.gateway import nodes_with_provider
from tests.http.oidc.test_login import at_provider, browser


def test_the_provider_sends_a_browser_back_to_another_node(postgres_url: str) -> None:
    with nodes_with_provider(postgres_url) as (a, b), browser() as client:
        callback = at_provider(client, a, "fang", "/orders?day=1")
        elsewhere = callback.replace(a.url, b.url)
        assert elsewhere != callback
        with browser() as other:
            assert other.get(elsewhere).status_code == 403, "another browser has not begun it"
        response = client.get(elsewhere)
        assert (response.status_code, response.headers.get("location")) == (303, "/orders?day=1")
        # The login is one for all nodes, and so is the user whom it has made.
        assert "王芳" in client.get(f"{b.url}/orders").text
        eventually(lambda: client.get(f"{a.url}/orders").text, lambda text: "王芳" in text)
        assert [one["name"] for one in a.ask({"type": "users"})["items"]] == ["王芳"]
        assert client.get(callback).status_code == 403, "the same answer, once more at the first"

"""Who may see the pages, and what is remembered of a visitor."""

from __future__ import annotations

from devgate.access.users import add
from tests.e2e.caller import eventually
from tests.http.harness import Site, site
from tests.http.visitor import NAME, PASSWORD, Visitor, visitor


def test_a_visitor_is_asked_to_log_in_and_led_on(served: Site) -> None:
    with visitor(served.url) as peer:
        response = peer.client.get("/devices?q=bay")
        assert response.headers["location"] == "/login?next=%2Fdevices%3Fq%3Dbay"
        fields = peer.fields(response.headers["location"], "/login")
        fields |= {"name": NAME, "password": PASSWORD}
        assert peer.post("/login", fields) == "/devices?q=bay"
        fields["next"] = "//elsewhere.example"
        fields |= peer.fields("/", "/logout")
        assert peer.post("/login", fields) == "/"


def test_a_wrong_password_and_a_foreign_form(served: Site) -> None:
    with visitor(served.url) as peer:
        fields = peer.fields("/login", "/login")
        wrong = peer.post("/login", {**fields, "name": NAME, "password": "x"}, 403)
        assert "That is not right" in wrong
        right = {"name": NAME, "password": PASSWORD}
        assert "no longer valid" in peer.post("/login", {**fields, **right, "form": "x"}, 400)
        peer.client.cookies.clear()
        assert "no longer valid" in peer.post("/login", {**fields, **right}, 400)


def test_too_many_attempts_and_a_user_who_is_removed() -> None:
    with site({"http": {"users": "users"}}) as running, visitor(running.url) as known:
        add(running.folder / "users", NAME, "admin", PASSWORD)
        known.log_in()
        with visitor(running.url) as token:
            token.log_in(token=running.tokens["read"])
            assert "read" in token.get("/")
        # The file's line lets him in at once, and is taken over into the database soon.
        eventually(
            lambda: running.cli("user", "remove", "wang", "--yes").returncode,
            lambda code: code == 0,
        )
        assert known.client.get("/").status_code == 303, "the session has ended with the user"
        with visitor(running.url) as peer:
            fields = {**peer.fields("/login", "/login"), "token": "wrong"}
            codes = [peer.client.post("/login", data=fields).status_code for _ in range(11)]
        assert codes == [403] * 10 + [429]


def test_logging_out_needs_the_form(someone: Visitor) -> None:
    someone.post("/logout", {}, 400)
    assert someone.post("/logout", someone.fields("/", "/logout")) == "/login"
    assert someone.client.get("/").status_code == 303


def test_one_who_may_only_look(served: Site) -> None:
    with visitor(served.url) as reader:
        reader.log_in(token=served.tokens["read"])
        assert "/start" not in reader.get("/devices")
        assert "/start" not in reader.get("/devices/860000000000001")
        reader.get("/devices/860000000000001/start?long=60", 403)
        fields = {**reader.fields("/", "/logout"), "long": "60", "key": "k"}
        reader.post("/devices/860000000000001/start", fields, 403)
        assert served.ask({"type": "history", "key": "k"})["items"] == []


def test_a_visitor_at_an_address_that_leads_nowhere(served: Site) -> None:
    with visitor(served.url) as peer:
        assert "There is no such page" in peer.get("/static/nothing.css", 404)
        assert peer.client.get("/nowhere").headers["location"] == "/login?next=%2Fnowhere"


def test_language_and_theme_are_remembered(served: Site) -> None:
    with visitor(served.url) as peer:
        fields = peer.fields("/login?next=/orders", "/preferences")
        assert peer.post("/preferences", {**fields, "language": "zh", "theme": "dark"}) == (
            "/login?next=/orders"
        )
        page = peer.get("/login")
        assert 'lang="zh-CN" data-theme="dark"' in page
        assert "登录" in page
        peer.post("/preferences", {**fields, "language": "xx", "theme": "pink"})
        assert 'lang="zh-CN" data-theme="dark"' in peer.get("/login")

"""Users and tokens of the database: kept over every way in, and taken over from the files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest

from devgate.access import tokens, users
from tests.e2e.caller import eventually
from tests.e2e.harness import Gateway, gateway
from tests.http.harness import Site, problem, site
from tests.http.visitor import PASSWORD, visitor

OTHER = "another good password"


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site() as running:
        yield running


def status_of(running: Site, secret: str) -> int:
    head = {"Authorization": f"Bearer {secret}"}
    with running.client(None) as client:
        return client.get("/api/devices", headers=head).status_code


def test_tokens_over_http(served: Site) -> None:
    with served.client("admin") as admin:
        made = admin.post("/api/tokens", json={"name": "店铺 1", "role": "read"})
        place = "/api/tokens/%E5%BA%97%E9%93%BA%201"
        assert (made.status_code, made.headers["location"]) == (201, place)
        secret = made.json()["token"]
        assert status_of(served, secret) == 200
        problem(admin.post("/api/tokens", json={"name": "店铺 1"}), 409, "409")
        changed = admin.patch("/api/tokens/店铺 1", json={"new_secret": True, "sites": ["North"]})
        assert changed.json()["sites"] == ["North"]
        assert status_of(served, secret) == 401
        secret = changed.json()["token"]
        assert status_of(served, secret) == 200
        listed = {one["name"]: one for one in admin.get("/api/tokens").json()["items"]}
        assert listed["店铺 1"]["sites"] == ["North"]
        assert not {"token", "digest", "proof"} & set(listed["店铺 1"])
        admin.patch("/api/tokens/店铺 1", json={"enabled": False})
        assert status_of(served, secret) == 401
        assert admin.delete("/api/tokens/店铺 1").status_code == 200
        problem(admin.delete("/api/tokens/店铺 1"), 404, "400")
        page = admin.get("/api/tokens", params={"limit": 1}).json()
        assert page["next"] == page["items"][0]["name"] == "admin"
        wrong = {"name": "x", "sites": []}, {"name": "a/b"}, {"name": "x", "role": "king"}
        for body in wrong:
            assert admin.post("/api/tokens", json=body).status_code == 400
    with served.client("command") as seller:
        assert seller.get("/api/tokens").status_code == 403


def test_users_over_http(served: Site) -> None:
    with served.client("admin") as admin:
        made = admin.post("/api/users", json={"name": "王芳", "password": PASSWORD})
        assert (made.status_code, made.json()["invitation"]) == (201, None)
        with visitor(served.url) as wang:
            assert wang.log_in(name="王芳", password=PASSWORD) == "/"
            admin.patch("/api/users/王芳", json={"password": OTHER})
            assert wang.client.get("/").status_code == 303, "the session has ended"
            assert wang.log_in(name="王芳", password=OTHER) == "/"
            mine = {"user": "王芳"}
            [one] = admin.get("/api/sessions", params=mine).json()["items"]
            admin.delete("/api/sessions", params={"session": one["session"]})
            assert wang.client.get("/").status_code == 303
            assert wang.log_in(name="王芳", password=OTHER) == "/"
            admin.delete("/api/users/王芳")
            assert wang.client.get("/").status_code == 303
            assert admin.get("/api/sessions", params=mine).json()["items"] == []
        short = admin.post("/api/users", json={"name": "li", "password": "short"})
        assert "short" not in short.text
        assert short.status_code == 400
        asked = admin.post("/api/users", json={"name": "li"}).json()
        assert asked["invitation"]
        (li,) = admin.get("/api/users").json()["items"]
        assert (li["has_password"], li["invited_until"] is None) == (False, False)


def test_changes_are_told_without_secrets(served: Site) -> None:
    with served.client("admin") as admin:
        admin.post("/api/users", json={"name": "told", "password": PASSWORD})
        admin.patch("/api/users/told", json={"role": "read", "password": OTHER})
        admin.delete("/api/users/told")
        lines = served.ask({"type": "events", "events": "account", "limit": 1000})["items"]
        mine = [one for one in lines if one["name"] == "told"]
        assert [one["type"] for one in mine] == [
            "account.added", "account.changed", "account.removed",
        ]  # fmt: skip
        assert {(one["source"], one["address"]) for one in mine} == {("http:admin", "127.0.0.1")}
        assert mine[1]["changes"]["role"] == {"old": "command", "new": "read"}
        assert mine[1]["changes"]["password"] == {"old": "hidden", "new": "hidden"}
        assert "argon2" not in json.dumps(lines)


def test_the_command_asks_the_gateway_that_runs(served: Site) -> None:
    made = served.cli("token", "add", "till", "--site", "North")
    assert made.returncode == 0, made.stderr
    assert status_of(served, made.stdout.strip()) == 200
    assert "North" in served.cli("token", "list").stdout
    assert served.cli("token", "edit", "till", "--disable").returncode == 0
    assert status_of(served, made.stdout.strip()) == 401
    assert served.cli("token", "remove", "till", "--yes").stdout == "token till removed\n"
    done = served.cli("user", "add", "张伟", "--role", "read", text=PASSWORD + "\n")
    assert (done.returncode, done.stdout) == (0, "user 张伟 is known with the role read\n")
    assert served.cli("user", "add", "张伟", text=PASSWORD).returncode == 9
    nothing = served.cli("user", "add", "李娜")
    assert (nothing.returncode, "or use --invite" in nothing.stderr) == (2, True)
    assert served.cli("user", "add", "张伟", "--replace", text=OTHER).returncode == 0
    with visitor(served.url) as opened:
        assert opened.log_in(name="张伟", password=OTHER) == "/"
    shown = served.cli("user", "edit", "张伟", "--invite").stdout
    page = re.search(r"the invitation is (/invitation\?word=\S+) at the dashboard", shown)
    with served.client(None) as client:
        assert page is not None, shown
        assert client.get(page[1]).status_code == 200
    invited = served.cli("user", "edit", "张伟", "--invite", "--json")
    assert json.loads(invited.stdout)["invitation"]
    (row,) = [json.loads(one) for one in served.cli("user", "list", "--json").stdout.splitlines()
              if "张伟" in one]  # fmt: skip
    assert (row["role"], row["enabled"]) == ("command", True)
    assert served.cli("user", "remove", "张伟", "--yes").returncode == 0


def test_files_are_taken_over_once(database_url: str) -> None:
    settings = {
        "http": {"listen": "127.0.0.1:0", "users": "users"}, "control": {"tokens": "tokens"},
    }  # fmt: skip
    running = Gateway(settings, store=database_url)
    secrets = {n: tokens.add(running.folder / "tokens", n) for n in ("a", "b", "c")}
    users.add(running.folder / "users", "wang", "admin", PASSWORD)

    def known(secret: str) -> bool:
        at = running.ask({"type": "status"})["listen"]["http"][0]
        head = {"Authorization": f"Bearer {secret}"}
        return httpx.get(f"http://{at}/api/devices", headers=head, verify=False).status_code == 200

    def names(kind: str) -> list[str]:
        return [one["name"] for one in running.ask({"type": kind})["items"]]

    def lines() -> int:
        return running.log().count("account taken over")

    running.start()
    assert names("tokens") == ["a", "b", "c"]
    assert names("users") == ["wang"]
    assert lines() == 4
    running.ask({"type": "token_remove", "name": "a"})
    running.ask({"type": "token_edit", "name": "b", "role": "read"})
    tokens.remove(running.folder / "tokens", "c")
    assert [known(secrets[n]) for n in "abc"] == [False, True, False]
    late = tokens.add(running.folder / "tokens", "late")
    assert known(late), "at once"
    eventually(lambda: names("tokens"), lambda found: found == ["b", "late"])
    running.terminate()
    tokens.remove(running.folder / "tokens", "late")
    running.start()
    assert names("tokens") == ["b"]
    assert lines() == 5, "none came anew"
    assert not known(secrets["a"])
    running.terminate()
    assert "Traceback" not in running.log()


def test_without_a_file_the_database_suffices() -> None:
    with gateway({"http": {"listen": "127.0.0.1:0"}}) as running:
        secret = running.cli("token", "add", "shop").stdout.strip()
        at = running.ask({"type": "status"})["listen"]["http"][0]
        head = {"Authorization": f"Bearer {secret}"}
        assert httpx.get(f"http://{at}/api/devices", headers=head, verify=False).status_code == 200

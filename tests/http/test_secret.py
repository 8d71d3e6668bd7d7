"""What signs sessions when no setting names a file: made once, and kept."""

from __future__ import annotations

import stat

from tests.http.harness import site
from tests.http.visitor import visitor

DEFAULT = {"secret": ""}


def test_a_login_outlives_a_restart_without_a_setting() -> None:
    """D21."""
    with site({"http": DEFAULT}) as served:
        file = served.folder / "devgate.db.sessions"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with visitor(served.url) as somebody, visitor(served.url) as leaving:
            for one in (somebody, leaving):
                one.log_in(token=served.tokens["read"])
            left = dict(leaving.client.cookies)
            leaving.post("/logout", leaving.fields("/", "/logout"))
            served.terminate()
            served.start()
            with visitor(served.url) as later:
                later.client.cookies.update(left)
                later.get("/", 303)
                later.client.cookies.clear()
                later.client.cookies.update(dict(somebody.client.cookies))
                later.get("/")
        served.terminate()
        file.chmod(0o644)
        assert f"{file} has the mode 0644" in served.cli("doctor").stdout
        served.launch()
        assert served.wait() != 0
        assert f"{file} has the mode 0644" in served.log()
        file.unlink()
        served.start()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_logout_outlives_a_restart_where_there_is_no_place_for_its_file() -> None:
    """As beside a credential of systemd: the database has it."""
    with site({"http": {"secret": "given"}}) as served:
        served.terminate()
        (served.folder / "given.ended").unlink()
        for name in ("given.ended", "given.ended.new"):
            (served.folder / name).mkdir()
        served.start()
        assert served.logged("logouts are kept in the database alone", "Is a directory")
        with visitor(served.url) as leaving:
            leaving.log_in(token=served.tokens["read"])
            left = dict(leaving.client.cookies)
            leaving.post("/logout", leaving.fields("/", "/logout"))
        served.terminate()
        served.start()
        with visitor(served.url) as later:
            later.client.cookies.update(left)
            later.get("/", 303)


def test_a_gateway_on_postgresql_has_it_in_the_database(postgres_url: str) -> None:
    """D21. A standby, and the nodes of a later cluster, work with the same database."""
    with site({"http": DEFAULT, "store": {"url": postgres_url}}) as served:
        with visitor(served.url) as somebody:
            somebody.log_in(token=served.tokens["read"])
            cookies = dict(somebody.client.cookies)
        served.terminate()
        served.start()
        with visitor(served.url) as later:
            later.client.cookies.update(cookies)
            later.get("/")
        assert not list(served.folder.glob("*.sessions"))

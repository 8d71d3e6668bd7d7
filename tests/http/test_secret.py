"""What signs sessions when no setting names a file: made once, and kept."""

from __future__ import annotations

import stat

from tests.http.harness import Site, site
from tests.http.visitor import visitor

DEFAULT = {"secret": ""}


def cookies_after_login(served: Site) -> dict[str, str]:
    """Those of a session that goes on."""
    with visitor(served.url) as somebody:
        somebody.log_in(token=served.tokens["read"])
        return dict(somebody.client.cookies)


def cookies_after_logout(served: Site) -> dict[str, str]:
    """Those of a session that is over."""
    with visitor(served.url) as leaving:
        leaving.log_in(token=served.tokens["read"])
        cookies = dict(leaving.client.cookies)
        leaving.post("/logout", leaving.fields("/", "/logout"))
    return cookies


def comes_back(served: Site, cookies: dict[str, str], status: int = 200) -> None:
    """A browser with these cookies asks for the first page."""
    with visitor(served.url) as later:
        later.client.cookies.update(cookies)
        later.get("/", status)


def test_a_login_outlives_a_restart_without_a_setting() -> None:
    """Without a setting, the secret of sessions is stored beside the database."""
    with site({"http": DEFAULT}) as served:
        file = served.folder / "devgate.db.sessions"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        logged_out, stays = cookies_after_logout(served), cookies_after_login(served)
        served.terminate()
        served.start()
        comes_back(served, logged_out, 303)
        comes_back(served, stays)
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
    """A secret beside which nothing can be written, such as a credential of systemd: then the
    database remembers the logout."""
    with site({"http": {"secret": "given"}}) as served:
        served.terminate()
        (served.folder / "given.ended").unlink()
        for name in ("given.ended", "given.ended.new"):
            (served.folder / name).mkdir()
        served.start()
        assert served.logged("logouts are kept in the database alone", "Is a directory")
        logged_out = cookies_after_logout(served)
        served.terminate()
        served.start()
        comes_back(served, logged_out, 303)


def test_a_gateway_on_postgresql_has_it_in_the_database(postgres_url: str) -> None:
    """D21. A standby, and the nodes of a later cluster, work with the same database."""
    with site({"http": DEFAULT, "store": {"url": postgres_url}}) as served:
        cookies = cookies_after_login(served)
        served.terminate()
        served.start()
        comes_back(served, cookies)
        assert not list(served.folder.glob("*.sessions"))

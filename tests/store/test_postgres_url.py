"""URLs of one server and of several, as operators write them."""

from __future__ import annotations

import socket
import threading

import pytest

from devgate.errors import SetupError
from devgate.store.engines import make_engine
from devgate.store.postgres_url import hosts_of, parsed, shown
from tests.postgres import Postgres

SEVERAL = [
    ("postgresql://dg@a:5432,b:5433/name", [("a", "5432"), ("b", "5433")]),
    ("postgresql://dg:p,w@a,b:1/name?application_name=x", [("a", ""), ("b", "1")]),
    ("postgresql://a,b/name", [("a", ""), ("b", "")]),
    ("postgresql://dg@[::1]:5432,[::2]/name", [("::1", "5432"), ("::2", "")]),
    ("postgresql://dg@%2Frun%2Fa,%2Frun%2Fb:5/name", [("/run/a", ""), ("/run/b", "5")]),
    ("postgresql://dg@/name?host=a:1&host=b:2", [("a", "1"), ("b", "2")]),
    ("postgresql://dg@/name?host=a,b&port=1,2", [("a", "1"), ("b", "2")]),
    ("postgresql+psycopg://dg@/name?host=a,b&port=7", [("a", "7"), ("b", "7")]),
]


@pytest.mark.parametrize(("text", "hosts"), SEVERAL)
def test_several_hosts_in_each_form(text: str, hosts: list[tuple[str, str]]) -> None:
    url = parsed(text)
    assert hosts_of(url) == hosts
    assert url.query["target_session_attrs"] == "read-write"
    assert url.database == "name"


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("postgresql://dg@a:5/name", [("a", "5")]),
        ("postgresql:///name", [("", "")]),
        ("postgresql://dg:a,b@host/name", [("host", "")]),
        ("postgresql://dg@host/name?options=-csearch_path%3Da,b", [("host", "")]),
    ],
)
def test_a_single_host_is_asked_nothing(text: str, hosts: list[tuple[str, str]]) -> None:
    url = parsed(text)
    assert hosts_of(url) == hosts
    assert "target_session_attrs" not in url.query


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("postgresql://dg:secret@a,b/n?target_session_attrs=any", "attrs=any may lead"),
        ("postgresql://dg:secret@a/n?target_session_attrs=standby", "attrs=standby may lead"),
        ("postgresql://dg:secret@a,b/n?target_session_attrs=prefer-standby", "may lead"),
        ("postgresql://dg:secret@a:1,b:no/n", "expected; several servers are"),
        ("postgresql://dg:secret@/n?host=a,b,c&port=1,2", "expected; several servers are"),
        ("postgresql://dg:secret@a:no/n", "expected; several servers are"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence_without_the_password(text: str, words: str) -> None:
    with pytest.raises(SetupError, match=words) as refused:
        make_engine(text)
    assert refused.value.status == "400"
    assert "secret" not in str(refused.value)


def test_primary_is_as_good_as_read_write() -> None:
    url = parsed("postgresql://dg@a,b/n?target_session_attrs=primary")
    assert url.query["target_session_attrs"] == "primary"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("postgresql://dg:pw@a:1/n", "postgresql://dg:***@a:1/n"),
        (
            "postgresql://dg:pw@a:1,[::2]:3/n?password=pw2",
            "postgresql://dg:***@a:1,[::2]:3/n?target_session_attrs=read-write",
        ),
        (
            "postgresql+psycopg://dg@/n?host=a:1&host=b:2",
            "postgresql://dg@a:1,b:2/n?target_session_attrs=read-write",
        ),
    ],
)
def test_a_url_is_shown_as_people_write_it(text: str, words: str) -> None:
    assert shown(parsed(text)) == words


def test_a_host_that_does_not_answer_costs_its_timeout_once(
    postgres: Postgres, postgres_url: str
) -> None:
    """The one that answered last is asked first: on each new connection the vanished host would
    cost its timeout again."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as vanished:

        def accept() -> None:
            while True:
                try:
                    asked.append(vanished.accept()[0])  # and never a word
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        port = vanished.getsockname()[1]
        folder = postgres.url().partition("host=")[2]
        options = postgres_url.partition("&options=")[2]
        engine = make_engine(
            f"postgresql://devgate@/postgres?host=127.0.0.1:{port}&host={folder}:5432"
            f"&options={options}"
        )
        for _ in range(3):
            with engine.connect() as conn:
                assert conn.exec_driver_sql("SELECT current_schema()").scalar() is not None
                conn.invalidate()
        engine.dispose()
        vanished.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert len(asked) == 1
    asked[0].close()

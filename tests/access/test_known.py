"""What the database has, and lines of a file that it has not taken over."""

from __future__ import annotations

from pathlib import Path

from devgate.access.tokens import Token, Tokens, add, entries, remove

SITES = frozenset({"North"})


def test_a_line_counts_until_it_is_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    secret = add(file, "shop", "admin")
    tokens = Tokens(file)
    (line,) = entries(file)
    assert [one.name for one in tokens.known.not_imported()] == ["shop"]
    stored = Token("shop", "read", "", line.digest, SITES)
    tokens.known.put({"shop": stored}, {"shop": line.line()})
    assert tokens.known.not_imported() == []
    assert tokens.check(secret) == stored, "what the database says is in force"
    assert not stored.may("trim")
    tokens.known.put({}, {"shop": line.line()})
    assert tokens.check(secret) is None, "it was removed or disabled there"


def test_another_line_is_in_force_at_once(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    old = add(file, "shop", "read")
    tokens = Tokens(file)
    (line,) = entries(file)
    tokens.known.put({"shop": line}, {"shop": line.line()})
    remove(file, "shop")
    new = add(file, "shop", "admin")
    assert tokens.check(old) is None
    found = tokens.check(new)
    assert found is not None
    assert found.role == "admin"


def test_a_line_that_goes_takes_its_account_along(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    secret, other = add(file, "shop", "read"), add(file, "screen", "read")
    tokens = Tokens(file)
    known = {one.name: one for one in entries(file)}
    lines = {name: one.line() for name, one in known.items()}
    tokens.known.put({**known, "here": Token("here", "read", "", "x")}, lines)
    assert tokens.check(secret) is not None
    remove(file, "shop")
    assert tokens.check(secret) is None
    assert tokens.check(other) is not None
    assert tokens.named("here") is not None
    assert tokens.known.gone(since_start=True) == ["shop"]
    file.unlink()
    assert tokens.check(other) is not None, "no file says nothing of what was taken from it"
    assert tokens.known.gone(since_start=False) == []


def test_what_was_gone_before_the_start_is_another_nodes(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    add(file, "shop", "read")
    tokens = Tokens(file)
    tokens.known.put({}, {"other": "1"})
    tokens.known.entries()
    assert tokens.known.gone(since_start=True) == []
    assert tokens.known.gone(since_start=False) == ["other"]


def test_what_did_not_change_is_put_together_once(tmp_path: Path) -> None:
    """A look at 2,000 tokens took 6 ms: it is done for each request."""
    for path in (None, tmp_path / "tokens"):
        tokens = Tokens(path)
        tokens.known.put({"shop": Token("shop", "read", "", "x")}, {})
        assert tokens.known.entries() is tokens.known.entries()


def test_two_nodes_with_other_lines_do_not_take_turns(tmp_path: Path) -> None:
    """Each line is offered once: the database's word is the last, also where it is another's."""
    file = tmp_path / "tokens"
    secret = add(file, "shop", "admin")
    tokens = Tokens(file)
    tokens.known.put({"shop": Token("shop", "read", "", "x")}, {"shop": "another node's"})
    assert tokens.check(secret) is not None
    tokens.known.offered(tokens.known.not_imported())
    assert tokens.known.not_imported() == []
    assert tokens.check(secret) is None

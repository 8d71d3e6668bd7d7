"""Whatever stands in the file or the environment: settings, or words to the operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devgate.config.environment import variable
from devgate.config.load import load
from devgate.config.locate import find_socket
from devgate.config.settings import Settings
from devgate.config.table import keys_of
from devgate.errors import SetupError

KEYS = [*keys_of(Settings), ("device",), ("device", "tls"), ("control", "flapping"), ("x", "y")]

one_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def refusal(ask: Callable[[], object]) -> str:
    """The message for the operator; empty if there is no error."""
    try:
        ask()
    except SetupError as err:
        return str(err)
    return "fine"


def judge(folder: Path, raw: bytes, env: Mapping[str, str]) -> None:
    file = folder / "gateway.toml"
    file.write_bytes(raw)
    lines = refusal(lambda: load(file, env)).split("\n")
    assert all(line and line.isprintable() for line in lines)
    assert refusal(lambda: find_socket(None, str(file), env)).isprintable()


@one_file
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, raw: bytes) -> None:
    judge(tmp_path, raw, {})


MARKS = '[ ] { } = . , " \' """ # \\ \ufeff 0 - inf true 2024-01-01'
PIECES = f"{MARKS} device tls store url listen control"
pieces = st.sampled_from([*PIECES.split(" "), " = ", "\n", "\r\n"])


@one_file
@given(st.lists(pieces | st.text(max_size=3), max_size=30).map("".join))
def test_any_text(tmp_path: Path, text: str) -> None:
    judge(tmp_path, text.encode(errors="surrogatepass"), {})


words = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="'")),
    st.from_regex(r"[a-z0-9.\[\]:*]{0,12}:[0-9]{1,6}", fullmatch=True),
    st.from_regex(r"(sqlite|postgres(ql)?|x):/{0,4}[a-z?:@%{}]{0,8}", fullmatch=True),
    st.from_regex(r"[0-9]{0,40}[dhms]?", fullmatch=True),
)
values = st.one_of(
    words.map(lambda word: f"'{word}'"),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["true", "{}", "[]", "{ key = 'x' }", "07:32:00", "1979-05-27", "0x10"]),
)


@one_file
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=6))
def test_any_value_at_any_key(tmp_path: Path, pairs: Mapping[tuple[str, ...], str]) -> None:
    text = "\n".join(f"{'.'.join(path)} = {value}" for path, value in pairs.items())
    judge(tmp_path, text.encode(), {})


@one_file
@given(
    st.dictionaries(
        st.sampled_from(KEYS).map(variable) | st.text().map(lambda name: f"DEVGATE_{name}"),
        words | st.text(alphabet=st.characters(codec=None)) | st.just("\udcff"),
        max_size=6,
    )
)
def test_any_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: Mapping[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    judge(tmp_path, b"[device]\ntls = 5\n", env)
    assert refusal(lambda: load(None, env))

"""The document says what the API does: schemathesis looks for anything else."""

from __future__ import annotations

import functools
import zoneinfo
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from hypothesis.strategies._internal import regex

from devgate.http.api.endpoints import CALLS
from devgate.http.api.openapi import Json, openapi
from devgate.http.api.samples.every import SAMPLES, name_of
from tests.http.harness import Site, site
from tests.webhooks.receiver import Receiver

# Imported by what uses them: each process of pytest imports this file, and one runs its tests.
if TYPE_CHECKING:
    import requests
    from schemathesis import Case
    from schemathesis.config import SchemathesisConfig

EXAMPLES = 5
ZONES = sorted(name for name in zoneinfo.available_timezones() if name != "localtime")
NAMES = [name_of(call) for call in CALLS]
# They go on until somebody leaves, or end the process; other tests try them.
ENDLESS = ["followEvents", "followFrames", "upgradeGateway"]
# Their bodies are other languages. A dry run answers 200 whatever the file is, and says what is
# wrong with it.
OTHER_WORDS = {"importDevices": ["negative_data_rejection"], "sendRawRequest": []}


@pytest.fixture(scope="module", autouse=True)
def classes_made_once() -> Iterator[None]:
    """Hypothesis goes through the characters of a class one by one: 33,000 where Chinese and
    Korean are allowed. Schemathesis has it do so for each length of a text, with one result."""
    make = regex._strategy

    @functools.cache
    def made(code: Any, members: tuple[Any, ...], flags: Any, of_text: bool, alphabet: Any) -> Any:
        codes: Any = (code, list(members))
        return make(codes, regex.Context(flags), of_text, alphabet=alphabet)

    def once(codes: Any, context: regex.Context, is_unicode: bool, *, alphabet: Any) -> Any:
        if isinstance(codes, tuple) and str(codes[0]) == "IN":
            return made(codes[0], tuple(codes[1]), context.flags, is_unicode, alphabet)
        return make(codes, context, is_unicode, alphabet=alphabet)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regex, "_strategy", once)
        yield


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Its connection serves all cases."""
    import requests

    with requests.Session() as opened:
        opened.headers.clear()
        yield opened


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """The only server that anything is sent to: no example may reach another host."""
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def fuzzed(receiver: Receiver) -> Iterator[Site]:
    with site(
        {"command": {"max_long": 366 * 86400, "ack_timeout": 0.2},
         "control": {"private_webhooks": True}},
        devices=[{"imei": "123456787654321", "id": 16, "site": "north"}],
    ) as running:  # fmt: skip
        # What the examples of the document name.
        for operation in ("webhook_add", "alert_receiver_add", "alert_rule_add", "token_add"):
            sample = dict(SAMPLES[operation].json or {})
            if "url" in sample:
                sample["url"] = receiver.url()
            done = running.ask({"type": operation, **sample})
            assert done["status"] == "200", done
        yield running


def config() -> SchemathesisConfig:
    from schemathesis.config import (
        ChecksConfig,
        GenerationConfig,
        PositiveDataAcceptanceConfig,
        ProjectConfig,
        ProjectsConfig,
        SchemathesisConfig,
    )
    from schemathesis.generation import GenerationMode

    generation = GenerationConfig(
        modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE],
        max_examples=EXAMPLES,
        deterministic=True,
    )
    accepted = PositiveDataAcceptanceConfig(
        expected_statuses=["2xx", "401", "403", "404", "409", "410", "429"]
    )
    checks = ChecksConfig(positive_data_acceptance=accepted)
    project = ProjectConfig(generation=generation, checks=checks)
    return SchemathesisConfig(projects=ProjectsConfig(default=project))


@pytest.fixture(scope="module")
def document() -> Json:
    return openapi()


def every_case(document: Json, operation: str, check: Callable[[Case[Any]], None]) -> None:
    """Check all cases of one operation, which are made now: schemathesis' own `parametrize` makes
    those of all operations while tests are collected, 8 s of it in each worker of xdist."""
    import schemathesis
    from schemathesis.checks import load_all_checks
    from schemathesis.core.result import Ok
    from schemathesis.openapi import from_dict
    from schemathesis.pytest.lazy import get_all_tests

    load_all_checks()
    schemathesis.openapi.format("time-zone", st.sampled_from(ZONES))
    schema = from_dict(document, config=config()).include(operation_id=operation)
    [made] = get_all_tests(schema=schema, test_func=check, settings=None, given_kwargs={})
    assert isinstance(made, Ok), made
    _, test = made.ok()
    test()


def ask(
    fuzzed: Site,
    session: requests.Session,
    url: str,
    operation: str,
    case: Case[Any],
    *without: str,
) -> None:
    from schemathesis.checks import CHECKS
    from schemathesis.generation import GenerationMode

    if case.meta and case.meta.generation.mode is GenerationMode.POSITIVE:
        make_possible(operation, case, url)
    # Each answer would be asked for twice more; who gets in is tested in test_roles.py.
    checks: list[Any] = CHECKS.get_by_names(["ignored_auth", *without])
    case.call_and_validate(
        base_url=fuzzed.url,
        headers={"Authorization": f"Bearer {fuzzed.tokens['admin']}"},
        excluded_checks=checks,
        session=session,
    )


def make_possible(operation: str, case: Case[Any], url: str) -> None:
    """Take from a request what a document cannot say is wrong: what depends on the time or on the
    gateway's state, on the query as a whole, or on what another program understands. `url` is the
    receiver's."""
    body: dict[str, Any] = case.body if isinstance(case.body, dict) else {}
    if body.get("key") is not None:  # two keys that differ
        case.headers.pop("Idempotency-Key", None)
    body.pop("expires", None)  # its answer would come in a month
    if body.get("until") is not None:  # a time that is still to come
        body["until"] = max(body["until"], 2**36)
    for name in ("after", "before"):  # `after` has the form that `sort` gives it
        if operation == "listDevices":
            case.query.pop(name, None)
    if operation in ("getReport", "exportReport"):
        if "first" in case.query:
            case.query["last"] = case.query["first"]
        if "last" in case.query:
            case.query.pop("month", None)
    if operation == "getDeviceDay" and "since" in case.query:  # a time that has begun
        case.query["since"] = str(int(case.query["since"]) % 2**30)
    if operation == "changeAlertRule":  # only a rule about a certificate has days
        body.pop("days", None)
        body.setdefault("minutes", 15)
    if body.get("url") is not None:
        body["url"] = url


@pytest.mark.parametrize("operation", [name for name in NAMES if name not in ENDLESS])
def test_the_api_does_what_its_document_says(
    fuzzed: Site, session: requests.Session, receiver: Receiver, document: Json, operation: str
) -> None:
    without = []
    if operation in OTHER_WORDS:
        without = ["positive_data_acceptance", *OTHER_WORDS[operation]]

    def check(case: Case[Any]) -> None:
        ask(fuzzed, session, receiver.url(), operation, case, *without)

    every_case(document, operation, check)

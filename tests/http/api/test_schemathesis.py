"""The document says what the API does: schemathesis looks for anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.openapi import from_dict
from schemathesis.pytest.lazy import get_all_tests

from devgate.http.api.endpoints import CALLS
from devgate.http.api.openapi import Json, openapi
from devgate.http.api.samples.every import name_of
from tests.http.harness import Site, site

EXAMPLES = 5
NAMES = [name_of(call) for call in CALLS]
# They go on until somebody leaves, or end the process; other tests try them.
ENDLESS = ["followEvents", "followFrames", "upgradeGateway"]
# What is right cannot be said in a schema: other languages, what depends on the time or on what is
# there, and two fields of which only one may be given, or neither alone.
OTHER_WORDS = [
    "importDevices", "listDevices", "sendRawRequest", "getDeviceDay", "addWebhook",
    "changeWebhook",
    "replayWebhook", "listUnknownDevices", "startDevices", "stopDevices", "changeDevices",
    "resolveOutcomes", "listAlerts", "addAlertRule", "changeAlertRule", "addAlertReceiver",
    "changeAlertReceiver",
    "listMaintenance", "beginMaintenance", "endMaintenance", "maintainDevices",
    "getReport", "exportReport", "setZone", "addDevice", "changeDevice",
    "addUser", "changeUser", "addToken", "changeToken",
]  # fmt: skip
# A dry run answers 200 whatever the file is, and says what is wrong with it.
ANSWERS_ANY = "importDevices"


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Site]:
    with site(
        {"command": {"max_long": 366 * 86400, "ack_timeout": 0.2}},
        devices=[{"imei": "123456787654321", "id": 16, "site": "north"}],
    ) as running:
        yield running


def config() -> SchemathesisConfig:
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


Case = schemathesis.Case[Any]


@pytest.fixture(scope="module")
def document() -> Json:
    return openapi()


def every_case(document: Json, operation: str, check: Callable[[Case], None]) -> None:
    """Check all cases of one operation, which are made now: schemathesis' own `parametrize` makes
    those of all operations while tests are collected, 8 s of it in each worker of xdist."""
    load_all_checks()
    schema = from_dict(document, config=config()).include(operation_id=operation)
    [made] = get_all_tests(schema=schema, test_func=check, settings=None, given_kwargs={})
    assert isinstance(made, Ok), made
    _, test = made.ok()
    test()


def ask(fuzzed: Site, case: Case, *without: str) -> None:
    meta, body = case.meta, case.body
    if meta and meta.generation.mode is GenerationMode.POSITIVE and isinstance(body, dict):
        if body.get("key") is not None:  # two keys that differ are a 400
            case.headers.pop("Idempotency-Key", None)
        body.pop("expires", None)  # its answer would come in a month
    # Each answer would be asked for twice more; who gets in is tested in test_roles.py.
    checks: list[Any] = CHECKS.get_by_names(["ignored_auth", *without])
    case.call_and_validate(
        base_url=fuzzed.url,
        headers={"Authorization": f"Bearer {fuzzed.tokens['admin']}"},
        excluded_checks=checks,
    )


@pytest.mark.parametrize(
    "operation", [name for name in NAMES if name not in {*ENDLESS, *OTHER_WORDS}]
)
def test_the_api_does_what_its_document_says(fuzzed: Site, document: Json, operation: str) -> None:
    def check(case: Case) -> None:
        ask(fuzzed, case)

    every_case(document, operation, check)


@pytest.mark.parametrize("operation", OTHER_WORDS)
def test_so_it_does_where_the_document_cannot_say_all(
    fuzzed: Site, document: Json, operation: str
) -> None:
    without = ["positive_data_acceptance"]
    if operation == ANSWERS_ANY:
        without.append("negative_data_rejection")

    def check(case: Case) -> None:
        ask(fuzzed, case, *without)

    every_case(document, operation, check)

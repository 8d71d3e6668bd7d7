"""The document says what the API does: schemathesis looks for anything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.checks import CHECKS
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.generation import GenerationMode
from schemathesis.openapi import from_dict

from devgate.http.api.openapi import openapi
from tests.http.harness import Site, site

EXAMPLES = 5
# They go on until somebody leaves, or end the process; other tests try them.
ENDLESS = ["followEvents", "followFrames", "upgradeGateway"]
# What is right cannot be said in a schema: other languages, what depends on the time or on what is
# there, and two fields of which only one may be given.
OTHER_WORDS = [
    "importDevices", "listDevices", "sendRawRequest", "getDeviceDay", "addWebhook",
    "changeWebhook",
    "replayWebhook", "listUnknownDevices", "startDevices", "stopDevices", "changeDevices",
    "resolveOutcomes", "listAlerts", "addAlertRule", "changeAlertRule", "addAlertReceiver",
    "changeAlertReceiver",
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
API = from_dict(openapi(), config=config()).exclude(operation_id=ENDLESS)


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


@API.exclude(operation_id=OTHER_WORDS).parametrize()
def test_the_api_does_what_its_document_says(fuzzed: Site, case: Case) -> None:
    ask(fuzzed, case)


@API.include(operation_id=OTHER_WORDS).parametrize()
def test_so_it_does_where_the_document_cannot_say_all(fuzzed: Site, case: Case) -> None:
    without = ["positive_data_acceptance"]
    if case.operation.definition.raw["operationId"] == ANSWERS_ANY:
        without.append("negative_data_rejection")
    ask(fuzzed, case, *without)

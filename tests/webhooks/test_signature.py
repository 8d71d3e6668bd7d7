"""What is posted, and what proves that it is ours."""

from __future__ import annotations

import base64
import json

import pytest

from devgate.config.webhook import key_of
from devgate.webhooks.signature import body_of, id_of, signed
from tests.webhooks.conftest import event
from tests.webhooks.receiver import SECRET, Got


def test_the_published_example_of_standard_webhooks() -> None:
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    id, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
    assert signed(key, id, 1614265330, body) == {
        b"webhook-id": id.encode(),
        b"webhook-timestamp": b"1614265330",
        b"webhook-signature": b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_changed_body_is_not_genuine() -> None:
    headers = signed(key_of(SECRET), "evt_1", 1614265330, b"{}")
    got = {name.decode(): value.decode() for name, value in headers.items()}
    assert Got("/", got, b"{}").genuine
    assert not Got("/", got, b"{ }").genuine
    assert not Got("/", {**got, "webhook-id": "evt_2"}, b"{}").genuine
    assert not Got("/", {**got, "webhook-timestamp": "1614265331"}, b"{}").genuine


def test_the_body_has_the_three_fields_of_the_standard() -> None:
    posted = json.loads(body_of(event(7)))
    assert posted == {
        "type": "device.online",
        "timestamp": "2025-11-24T16:00:07.000Z",
        "data": event(7).line(),
    }


def test_an_events_id_is_the_same_at_every_try_and_another_one_in_a_new_database() -> None:
    assert id_of(event(7)) == id_of(event(7))
    assert id_of(event(7)) != id_of(event(7)._replace(at=0.0))
    assert "." not in id_of(event(7)), "that sign parts the content that is signed"


@pytest.mark.parametrize("size", [24, 64])
def test_keys_of_the_standards_sizes_are_taken(size: int) -> None:
    assert key_of("whsec_" + base64.b64encode(bytes(size)).decode()) == bytes(size)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_!", "hush" * 10, "whsec_" + "A" * 88 + "AAAA"]
)
def test_other_secrets_are_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="24 to 64 random bytes") as err:
        key_of(secret)
    assert not secret.removeprefix("whsec_") or secret not in str(err.value)

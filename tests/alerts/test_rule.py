"""What a rule may say, and which URLs a receiver may have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devgate.alerts.rule import Rule, checked
from devgate.alerts.schemes import scheme_of

RIGHT = Rule("away", "offline", ("ops", "anna"), "Mall", 15, 0, "22:00-07:00", "Asia/Shanghai", 60)


def test_a_row_is_a_rule_again() -> None:
    limited = replace(RIGHT, tag="vip", sites=frozenset({"北站", "Mall"}), owner="user:王芳")
    for rule in (RIGHT, limited):
        assert Rule.of(checked(rule).row()) == rule


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"name": "a b"}, "name: 1 to 64 letters"),
        ({"kind": "odd"}, "kind: one of offline,"),
        ({"kind": "failures"}, "site: a rule about failures is for all sites"),
        ({"kind": "site_outage", "tag": "vip"}, "tag: a rule about site_outage is not for single"),
        ({"kind": "store", "site": "", "sites": frozenset()}, "kind: a rule about store is for"),
        ({"minutes": 20_000}, "minutes: 0 to 10080"),
        ({"days": 3}, "days: a rule about offline has minutes"),
        ({"kind": "certificate", "site": "", "minutes": 0}, "days: 1 to 365"),
        ({"kind": "certificate", "site": "", "days": 3}, "minutes: a rule about a certificate"),
        ({"receivers": ()}, "receivers: at least one"),
        ({"quiet": "22-7"}, 'quiet: "22:00-07:00"'),
        ({"quiet": "24:00-07:00"}, 'quiet: "22:00-07:00"'),
        ({"repeat": 4}, "repeat: 5 to 10080 minutes, or 0"),
        ({"zone": "Mars/Olympus"}, "zone: a time zone like"),
        ({"zone": "../../etc/passwd"}, "zone: a time zone like"),
        ({"zone": "Europe"}, "zone: a time zone like"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], names: str) -> None:
    with pytest.raises(ValueError, match=names.replace("(", r"\(")):
        checked(replace(RIGHT, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("syslog://localhost", "of that scheme"),
        ("dbus://", "of that scheme"),
        ("rsyslog://host", "of that scheme"),
        ("file:///etc/passwd", "of that scheme"),
        ("json://host", "of that scheme"),
        ("hush", "url: "),
        ("slack://hush hush", "url: "),
        ("slack://" + "h" * 3000, "url: "),
    ],
)
def test_no_other_url_is_a_receiver(url: str, names: str) -> None:
    with pytest.raises(ValueError, match=names) as caught:
        scheme_of(url)
    assert "hush" not in str(caught.value)


def test_urls_of_receivers() -> None:
    for url in ("mailtos://a:b@host?to=c", "wecombot://key", "https://shop.example/hook"):
        assert url.startswith(scheme_of(url))

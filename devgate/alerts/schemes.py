"""The URLs that receivers may have: of webhooks, and of services that Apprise knows.

Only services over HTTP or SMTP are here, because only these can be limited to public addresses;
and none that acts on this machine.
"""

from __future__ import annotations

import re

MAX_URL = 2048  # characters
WEBHOOK = frozenset(("http", "https"))
_SERVICES = """
mailto mailtos mailgun sendgrid postmark brevo ses sparkpost smtp2go resend mailersend
wecombot wechat dingtalk feishu lark slack tgram discord gchat workflow workflows webex
wxteams mmost mmosts rocket rockets zulip matrix matrixs line whatsapp kakaotalk zalo kook
nctalk nctalks synology synologys signal signals threema viber flock twist cliq guilded
ntfy ntfys gotify gotifys bark barks pover pbul schan pushplus wxpusher pushdeer pushdeers
pushme wpush spugpush prowl join onesignal hassio hassios
twilio vonage nexmo msgbird sinch infobip clicksend 46elks seven bulksms plivo clickatell
sns telnyx d7sms
pagerduty opsgenie ilert splunk squadcast signl4 pagertree goalert goalerts incidentio
betterstack spike"""
SCHEMES = frozenset(_SERVICES.split())

_SCHEME = re.compile(r"([a-z0-9]{2,20})://", re.ASCII)


def scheme_of(url: str) -> str:
    """The scheme of a receiver's URL. Raises ValueError, without the URL: it holds secrets."""
    if len(url) > MAX_URL or not url.isprintable() or " " in url:
        raise ValueError(f"url: a URL of at most {MAX_URL} characters, without blanks, expected")
    found = _SCHEME.match(url)
    if found is None:
        raise ValueError(
            'url: "https://..." for a webhook, or a URL of Apprise expected, like '
            '"mailtos://USER:PASSWORD@HOST?to=..." or "wecombot://KEY"'
        )
    scheme = found[1]
    if scheme not in WEBHOOK and scheme not in SCHEMES:
        raise ValueError(
            "url: no receiver can have a URL of that scheme; docs/manual.md lists those that can, "
            "under Alerts"
        )
    return scheme

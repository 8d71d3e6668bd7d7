"""The calls of the API about alerts: what fires, what was sent, rules and receivers."""

from __future__ import annotations

from devgate.http.api import rules
from devgate.http.api import schemas as s
from devgate.http.api.call import LIMIT, Call, Field
from devgate.http.api.schemas import nullable

_RULE = Field("name", s.KNOWN_NAME, "The rule, by its name in the list.", True)
_RECEIVER = Field("name", s.KNOWN_NAME, "The receiver, by its name in the list.", True)
_LANGUAGE = Field("language", s.LANGUAGE, "The language of its messages.")
_URL = (
    "A URL of Apprise, such as `mailtos://USER:PASSWORD@HOST?to=...` or `wecombot://KEY`; "
    "`https://` is a webhook. No answer tells it again."
)
_FIELDS = (
    Field("site", nullable(s.NAME), "Only of this site; null for all."),
    Field("tag", nullable(s.TAG), "Only of machines with this tag; null for any."),
    Field("minutes", s.MINUTES, "How many minutes it has to be so."),
    Field("days", s.DAYS_AHEAD, "Of a certificate: how many days before it expires."),
    Field("quiet", nullable(s.QUIET), "Hours in which nobody is notified; null for none."),
    Field(
        "zone",
        nullable(s.ZONE),
        "The time zone of `quiet`, and of times in messages; null for the site's own.",
    ),
    Field("repeat", s.REPEAT, "Minutes until it is reported again, as long as it lasts; 0: once."),
    Field("all_clear", s.YES, "Whether a message says when it is over."),
    Field("enabled", s.YES, "false: it rests until this is true again."),
)

CALLS: tuple[Call, ...] = (
    Call(
        "GET", "/api/alerts", "alerts", "List what fires now", "Alerts",
        query=(Field("after", s.PLACE, "Behind this place: `next` of the page before."), LIMIT),
        about="The newest first. `count` counts all.",
    ),
    Call(
        "GET", "/api/alerts/log", "alert_log", "List the messages that were sent", "AlertLog",
        query=(
            Field("receiver", s.KNOWN_NAME, "Only to this one."),
            Field("after", s.MESSAGE_ID, "Behind this message: `next` of the page before."),
            LIMIT,
        ),
        about="Also those that were to be sent, the newest first. The newest 10,000 are kept.",
    ),
    Call("GET", "/api/alerts/rules", "alert_rules", "List the rules", "AlertRules"),
    Call(
        "POST", "/api/alerts/rules", "alert_rule_add", "Add a rule", "ChangedAlertRule",
        body="json", created="name",
        json=(
            Field("name", s.PLAIN_NAME, "What it is called from now on.", True),
            Field("kind", s.ALERT, "What it is about.", True),
            Field("receivers", s.RECEIVERS, "Who is notified.", True),
            *_FIELDS,
        ),
        rules=rules.ALERT,
        about="It is in force at once. What is true already is not reported.",
    ),
    Call(
        "PATCH", "/api/alerts/rules/{name}", "alert_rule_edit", "Change a rule",
        "ChangedAlertRule", place=(_RULE,), body="json",
        json=(Field("receivers", s.RECEIVERS, "Who is notified."), *_FIELDS),
        about="What is given, and nothing else.",
    ),
    Call(
        "DELETE", "/api/alerts/rules/{name}", "alert_rule_remove", "Remove a rule",
        "RemovedAlertRule", place=(_RULE,), statuses={"400": 404},
        about="No more messages are sent for it, not even that something is over.",
    ),
    Call(
        "GET", "/api/alerts/receivers", "alert_receivers", "List the receivers",
        "AlertReceivers",
    ),
    Call(
        "POST", "/api/alerts/receivers", "alert_receiver_add", "Add a receiver",
        "ChangedAlertReceiver", body="json", created="name",
        json=(
            Field("name", s.PLAIN_NAME, "What it is called from now on.", True),
            Field("url", s.RECEIVER_URL, _URL, True),
            _LANGUAGE,
            Field("enabled", s.YES, "false: nothing is sent to it until this is true."),
        ),
        about="Of a webhook this answer tells the secret that signs, and no other ever will.",
    ),
    Call(
        "PATCH", "/api/alerts/receivers/{name}", "alert_receiver_edit", "Change a receiver",
        "ChangedAlertReceiver", place=(_RECEIVER,), body="json",
        json=(
            Field("url", s.RECEIVER_URL, _URL),
            _LANGUAGE,
            Field("enabled", s.YES, "false: nothing is sent to it until this is true."),
        ),
        about="What is given, and nothing else.",
    ),
    Call(
        "DELETE", "/api/alerts/receivers/{name}", "alert_receiver_remove", "Remove a receiver",
        "RemovedAlertReceiver", place=(_RECEIVER,), statuses={"400": 404},
        about="409 while a rule names it.",
    ),
    Call(
        "POST", "/api/alerts/receivers/{name}/test", "alert_receiver_test", "Send a test",
        "TestedAlertReceiver", place=(_RECEIVER,), statuses={"400": 404},
        about="503 if the receiver did not take it.",
    ),
)  # fmt: skip

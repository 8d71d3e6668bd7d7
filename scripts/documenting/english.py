"""What stands above the tables of the generated pages, in English."""

from __future__ import annotations

ABOVE = {
    "ABOUT SETTINGS": """\
This page is made of the program: it has every key of `gateway.toml`. The rules (how durations,
relative paths and environment variables are written, what needs a restart) are in the
[manual](../manual.md#the-configuration-file). The file `gateway.toml` of the repository has every
key with a comment.

- Every key has a default, so an empty file serves.
- A duration is a number of seconds (`180`) or a string (`"3m"`, `"1h30m"`, `"90d"`).
- A variable of the environment wins over the file: `key` of `[device.tls]` is
  `DEVGATE_DEVICE__TLS__KEY`. Secrets belong there, or in files.
- Keys that are "taken up at the start only" need a restart; all others `systemctl reload devgate`.
- Look for mistakes first: `devgate serve --check`.""",
    "ABOUT COMMANDS": """\
This page is made of the program: it is what `devgate COMMAND --help` prints. Exit codes are in
[control.md](../control.md#2-statuses-outcomes-and-exit-codes). With `--json` the output is for
programs, and the same in every language.""",
    "ABOUT API": """\
This page is made of the table that the gateway serves; a gateway that runs has the same at
`/api/docs`, with examples in PHP and JavaScript. For programs:
[openapi.json](../openapi.json) (OpenAPI 3.1). To begin, read
[the shop over HTTP](../guides/shop-http.md).""",
    "ABOUT EVENTS": """\
This page is made of the program: it has every type of event. Each event has a number without a
gap, the time `at` and its `type`. The [manual](../manual.md#events) says what to do about each;
`devgate watch`, `GET /api/events/stream` and [webhooks](../guides/webhooks.md) tell them.

Who subscribes names a type (`command.ended`) or a whole group (`command`).""",
    "ABOUT METRICS": """\
This page is read from the `/metrics` of a gateway that runs. Nothing is labelled by device: ten
thousand label sets would make one scrape stall the loop. A
[Grafana dashboard](../grafana.json) and [alert rules](../alerts.yml) are ready to use; the
[manual](../manual.md#monitoring-and-the-log) says who may read it.""",
}

"""A call's example as code that can be run: with curl, in PHP, in JavaScript.

The code reads the token from the environment (`TOKEN`), needs no library, and prints the answer.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

from devgate.http.api.endpoints import Call
from devgate.http.api.samples.sample import Sample

CSV_FILE = "devices.csv"
MEDIA_TYPES = {"json": "application/json", "csv": "text/csv", "command": "text/plain"}


def url_of(call: Call, sample: Sample, base: str) -> str:
    """The URL of the example, at the gateway `base`."""
    path = call.path
    for name, value in sample.place.items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    given = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in sample.query.items()
    }
    return f"{base}{path}{'?' if given else ''}{urlencode(given)}"


def _headers(call: Call, sample: Sample) -> dict[str, str]:
    """The headers of the example, without the token."""
    found = {name: str(value) for name, value in sample.head.items()}
    if call.body is not None and (call.body != "json" or sample.json is not None):
        found = {"Content-Type": MEDIA_TYPES[call.body], **found}
    return found


def curl(call: Call, sample: Sample, base: str) -> str:
    """For a shell."""
    lines = ['-H "Authorization: Bearer $TOKEN"']
    lines += [f"-H {shlex.quote(f'{k}: {v}')}" for k, v in _headers(call, sample).items()]
    if call.body == "csv":
        lines.append(f"--data-binary @{CSV_FILE}")
    elif call.body == "command":
        lines.append(f"--data-raw {shlex.quote(sample.text)}")
    elif sample.json is not None:
        lines.append(f"-d {shlex.quote(json.dumps(sample.json, ensure_ascii=False))}")
    if call.stream:
        lines.append(f"-o {CSV_FILE}" if call.stream == "csv" else "-N")
    lines.append(shlex.quote(url_of(call, sample, base)))
    method = "" if call.method == "GET" else f" -X {call.method}"
    return f"curl -sS{method} " + " \\\n  ".join(lines)


def php(call: Call, sample: Sample, base: str) -> str:
    """For PHP 7.4 or later, without an extension."""
    headers = ["'Authorization: Bearer ' . getenv('TOKEN')"]
    headers += [_php(f"{name}: {value}") for name, value in _headers(call, sample).items()]
    options = {
        "method": _php(call.method),
        "header": "[\n        " + ",\n        ".join(headers) + ",\n    ]",
        "ignore_errors": "true",
    }
    if call.body == "csv":
        options["content"] = f"file_get_contents({_php(CSV_FILE)})"
    elif call.body == "command":
        options["content"] = _php(sample.text)
    elif sample.json is not None:
        options["content"] = f"json_encode({_php(sample.json)})"
    context = "".join(f"    {_php(name)} => {value},\n" for name, value in options.items())
    url = _php(url_of(call, sample, base))
    first = f"<?php\n$options = stream_context_create(['http' => [\n{context}]]);\n"
    if call.stream == "csv":
        return f"{first}file_put_contents({_php(CSV_FILE)}, fopen({url}, 'r', false, $options));\n"
    if call.stream:
        return (
            f"{first}$events = fopen({url}, 'r', false, $options);\n"
            "while (($line = fgets($events)) !== false) {\n    echo $line;\n}\n"
        )
    return (
        f"{first}$reply = json_decode(file_get_contents({url}, false, $options), true);\n"
        "echo json_encode($reply), PHP_EOL;\n"
    )


def javascript(call: Call, sample: Sample, base: str) -> str:
    """For Node 18 or later, as a module."""
    first, headers = "", ["Authorization: `Bearer ${process.env.TOKEN}`"]
    headers += [
        f"{json.dumps(name)}: {json.dumps(value)}"
        for name, value in _headers(call, sample).items()
    ]
    options = [] if call.method == "GET" else [f"method: {json.dumps(call.method)}"]
    options.append("headers: {\n    " + ",\n    ".join(headers) + ",\n  }")
    if call.body == "csv":
        first = 'import { readFile } from "node:fs/promises";\n\n'
        options.append(f"body: await readFile({json.dumps(CSV_FILE)})")
    elif call.body == "command":
        options.append(f"body: {json.dumps(sample.text)}")
    elif sample.json is not None:
        options.append(f"body: JSON.stringify({json.dumps(sample.json, ensure_ascii=False)})")
    given = ",\n  ".join(options)
    url = json.dumps(url_of(call, sample, base))
    asked = f"{first}const response = await fetch({url}, {{\n  {given},\n}});\n"
    if call.stream == "csv":
        return (
            f'import {{ writeFile }} from "node:fs/promises";\n\n{asked}'
            f"await writeFile({json.dumps(CSV_FILE)}, response.body);\n"
        )
    if call.stream:
        return f"{asked}for await (const part of response.body) process.stdout.write(part);\n"
    return f"{asked}const reply = await response.json();\nconsole.log(JSON.stringify(reply));\n"


def _php(value: object) -> str:
    """A value as a literal of PHP."""
    if isinstance(value, Mapping):
        return "[" + ", ".join(f"{_php(k)} => {_php(v)}" for k, v in value.items()) + "]"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return json.dumps(value)


Snippet = Callable[[Call, Sample, str], str]
LANGUAGES: Mapping[str, tuple[str, Snippet]] = {
    "curl": ("curl", curl), "php": ("PHP", php), "js": ("JavaScript", javascript),
}  # fmt: skip

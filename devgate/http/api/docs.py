"""The API's page for people: one file from the table of calls, no script, nothing from outside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from devgate import __version__
from devgate.access.tokens import NEEDS
from devgate.http.api.endpoints import CALLS, Call, Field
from devgate.http.api.schemas import words
from devgate.http.problems import STATUSES


def needs(call: Call) -> str:
    """Who may ask, as a sentence."""
    role = NEEDS.get(call.operation)
    return f"For the role {role} and above." if role else "For the role that its type needs."


def docs(about: str) -> str:
    """The whole page, as HTML."""
    calls = "".join(map(_call, CALLS))
    codes = "".join(
        f'<tr id="{code}"><td><code>{code}</code></td><td>{status}</td>'
        f"<td>{escape(text)}</td></tr>"
        for code, (status, text) in STATUSES.items()
    )
    menu = "".join(
        f'<li><a href="#{escape(_anchor(call))}"><b class="{call.method.lower()}">{call.method}'
        f"</b> {escape(call.path)}</a></li>"
        for call in CALLS
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<title>devgate API</title><link rel="icon" href="/static/icon.svg">'
        '<link rel="stylesheet" href="/api/docs.css"></head><body>'
        f"<header><h1>devgate API</h1><p>Version {escape(__version__)}. "
        '<a href="/api/openapi.json">OpenAPI 3.1</a></p></header>'
        f'<nav aria-label="Calls"><ul>{menu}</ul></nav><main><p>{_marked(about)}</p>{calls}'
        f'<section id="codes"><h2>Codes</h2>{_table(("Code", "HTTP", "Means"), codes)}</section>'
        "</main></body></html>"
    )


def _anchor(call: Call) -> str:
    return call.operation or "raw"


def _call(call: Call) -> str:
    parts = (
        ("Path", call.place), ("Query", call.query), ("Header", call.head), ("JSON", call.json)
    )  # fmt: skip
    rows = "".join(_rows(name, fields) for name, fields in parts)
    table = _table(("Field", "In", "What it is", ""), rows) if rows else ""
    return (
        f'<section id="{escape(_anchor(call))}"><h2>{escape(call.summary)}</h2>'
        f'<p class="call"><b class="{call.method.lower()}">{call.method}</b> '
        f"<code>{escape(call.path)}</code></p><p>{_marked(call.about)} {needs(call)}</p>"
        f"{table}</section>"
    )


def _rows(place: str, fields: Iterable[Field]) -> str:
    return "".join(
        f"<tr><td><code>{escape(one.name)}</code>{'' if one.required else ' <i>optional</i>'}</td>"
        f"<td>{place}</td><td>{escape(words(one.schema))}</td><td>{_marked(one.about)}</td></tr>"
        for one in fields
    )


def _table(heads: Sequence[str], rows: str) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _marked(text: str) -> str:
    """Text with `code` between backticks, as HTML."""
    parts = escape(text).split("`")
    return "".join(f"<code>{one}</code>" if n % 2 else one for n, one in enumerate(parts))


STYLE = """
:root { color-scheme: light dark; --line: #8884; --mild: #8882;
  --link: light-dark(#0b5cad, #7db8f5) }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif;
  display: grid; grid-template-columns: 20rem minmax(0, 1fr); gap: 0 2rem }
header { grid-column: 1 / -1; border-bottom: 1px solid var(--line); margin-bottom: 1rem }
h1 { margin: 0; font-size: 1.6rem } header p { margin: .2rem 0 .8rem }
nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow: auto;
  font-size: .9rem }
nav ul { list-style: none; margin: 0; padding: .5rem 0 } nav li { margin: .15rem 0 }
a { color: var(--link) } nav a { text-decoration: none; overflow-wrap: anywhere }
section { border-top: 1px solid var(--line); padding: .5rem 0 1.2rem }
h2 { font-size: 1.2rem; margin: .6rem 0 .2rem }
b { display: inline-block; min-width: 4rem; font-size: .8rem }
.get { color: light-dark(#14692c, #6fcf97) } .post { color: light-dark(#0b5cad, #7db8f5) }
.patch { color: light-dark(#8a5300, #f2b84b) } .delete { color: light-dark(#a3231f, #ff8a80) }
code { background: var(--mild); padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .92rem }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0;
  border-bottom: 1px solid var(--line) }
i { font-size: .8rem } tr:target { background: var(--mild) }
@media (max-width: 50rem) { body { display: block } nav { position: static; max-height: none } }
"""

"""The templates of all pages, and the values that all of them may use."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader

from devgate import __version__
from devgate.gateway.reports.past import group_of
from devgate.http.pages import words
from devgate.language.choice import LANGUAGES

templates = Environment(
    loader=PackageLoader("devgate.http.pages"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.globals.update(
    version=__version__,
    languages=LANGUAGES,
    status_of=words.status_of,
    group_of=group_of,
    verdicts=words.VERDICT,
)
# Global, so that a block of a page can be rendered without the page.
templates.globals["parts"] = templates.get_template("parts.html").module

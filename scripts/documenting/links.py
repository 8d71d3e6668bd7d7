"""Links of the documents, as they are in the repository, made into links of the site.

A document links to files beside it, so that it can be read in the repository. On the site these
are pages of the same language, pictures and files that are handed out; what the site does not
have (the list of changes, the licence) stays as its name.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from documenting.plan import FILES, ROOT, page_of

FENCE = re.compile(r"^( *)(```+|~~~+)")
LINK = re.compile(r"(!?)\[((?:[^\[\]`]|`[^`]*`|\[[^\]]*\])*)\]\(([^()\s]+)\)")
CODE = re.compile(r"`[^`]*`")
# A link to an example that stands alone on its line: the page shows the file.
EXAMPLE = re.compile(r"^\[[^\]]+\]\((\S*examples/\S+)\)$")
ITEM = re.compile(r"^(?:\d+\.|[-*]) ")
CONTENTS = re.compile(r"^- \[.*\]\(#\S+\)$")  # a page's own table of contents: the site makes one
NESTED = re.compile(r"^ {2,3}(?=\S)")
LEXERS = {
    ".php": "php", ".py": "python", ".java": "java", ".mjs": "js", ".sh": "sh", ".cfg": "text",
    ".toml": "toml", ".service": "ini", ".timer": "ini", ".c": "c", ".json": "json",
}  # fmt: skip
NAME = re.compile(r"^(?!README)[\w-]+\.md$")
PICTURES = ("docs/screenshots/", "docs/figures/")


class BrokenLink(ValueError):
    """A document links to what is not there."""


def rewritten(text: str, file: Path, page: str) -> str:
    """A document's text with the links of the site.

    `file` is where it is in the repository, `page` its name on the site. Raises BrokenLink.
    """
    lines: list[str] = []
    fence, in_list = "", False
    for line in text.splitlines():
        if fence:
            fence = "" if line.strip() == fence else fence
        elif found := FENCE.match(line):
            fence = found[2]
            line = line.replace("mermaid", "text")  # its program would come from another host
        elif CONTENTS.match(line):
            continue
        elif example := EXAMPLE.match(line):
            line = shown(_target(file, example[1]))
        else:
            in_list = bool(ITEM.match(line)) or (in_list and (not line or line[0] == " "))
            if in_list:  # Python-Markdown nests by four blanks, where the repository has two
                line = NESTED.sub("    ", line)
            line = _line(line, file, page)
        lines.append(line)
    return "\n".join(lines) + "\n"


def shown(file: Path) -> str:
    """An example as a block with its name."""
    code = file.read_text("utf-8").rstrip("\n")
    return f'```{LEXERS.get(file.suffix, "text")} title="{file.name}"\n{code}\n```'


def _line(line: str, file: Path, page: str) -> str:
    def one(match: re.Match[str]) -> str:
        mark, words, target = match.groups()
        found = _link(target, file, page)
        if found is None or found == Path(page).name:
            return f"{mark}{words}"
        other = _target(file, target.partition("#")[0]) if NAME.match(words) else None
        return f"{mark}[{title(other) if other else words}]({found})"

    spans = [match.span() for match in CODE.finditer(line)]

    def outside(match: re.Match[str]) -> str:
        inside = any(start < match.start() < stop for start, stop in spans)
        return match[0] if inside else one(match)

    return LINK.sub(outside, line)


def title(file: Path) -> str:
    """The first heading of a document: a link that is called by the file's name is called so."""
    first = file.read_text("utf-8").partition("\n")[0]
    return first.removeprefix("# ") if file.suffix == ".md" else file.name


def _link(target: str, file: Path, page: str) -> str | None:
    """Where the link leads on the site; None if the site does not have it."""
    if re.match(r"[a-z]+:", target) or target.startswith("#"):
        return target
    path, mark, anchor = target.partition("#")
    found = _target(file, path)
    other = page_of(found)
    if other is None:
        name = found.relative_to(ROOT).as_posix()
        if not (name.startswith(PICTURES) or name in FILES):
            return None
        other = name.removeprefix("docs/")
    here = Path(page).parent.as_posix()
    return f"{os.path.relpath(other, here)}{mark}{anchor}"


def _target(file: Path, path: str) -> Path:
    found = Path(os.path.normpath(file.parent / unquote(path)))
    if not found.exists() or not found.is_relative_to(ROOT):
        raise BrokenLink(f"{file.relative_to(ROOT)} links to {path}, which is not there")
    return found

"""From the documents to the finished folder: stage, build by Zensical, join the languages."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from documenting import built, project, staging
from documenting.plan import LANGUAGES, Language
from documenting.reference import commands, events, http_api, metrics, settings


class NotBuilt(RuntimeError):
    """Zensical found a fault, which its message names."""


def generated(language: Language, said: str) -> Mapping[str, str]:
    """The generated pages by name. `said` is what a gateway's /metrics says."""
    return {
        "reference/settings.md": settings.page(language),
        "reference/commands.md": commands.page(language),
        "reference/http-api.md": http_api.page(language),
        "reference/events.md": events.page(language),
        "reference/metrics.md": metrics.page(language, said),
    }


def make(out: Path, said: str) -> None:
    """Build both languages into `out`, which is not there: English, and Chinese in `zh`.

    Raises NotBuilt, BrokenLink, MissingPage and NoChinese.
    """
    with tempfile.TemporaryDirectory(prefix="site-") as name:
        for language in LANGUAGES:
            folder = Path(name, language)
            pages = folder / "docs"
            pages.mkdir(parents=True)
            staging.stage(pages, language, generated(language, said))
            (pages / "openapi.json").write_text(http_api.document(), "utf-8")
            project.write(folder, language)
            _zensical(folder)
            place = out if language == "en" else out / language
            shutil.copytree(folder / "site", place)
    built.switch(out)


def _zensical(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode or not (folder / "site" / "index.html").is_file():
        raise NotBuilt(f"Zensical, exit code {done.returncode}:\n{done.stdout}{done.stderr}")

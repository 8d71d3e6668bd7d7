"""`devgate labels`: print-ready sheets of QR stickers. Works on the database directly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devgate.cli.language import said
from devgate.cli.local.stored import settings_of, store
from devgate.cli.output import Where, common, fail, finish, print_error
from devgate.cli.params import ImeiType
from devgate.model import shown

if TYPE_CHECKING:
    from devgate.labels.sheet import Label

SUFFIXES = (".html", ".svg", ".pdf")
SIZES = ("65", "24", "21", "8", "2")  # as `labels.sheet` has them
MAX_LINE = 40  # as `labels.sheet` has it
PAGE_SIZE = 500  # devices that are read at once


@click.command()
@click.argument("imeis", metavar="[IMEI]...", nargs=-1, type=ImeiType())
@click.option("--site", help="All devices of this site.")
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False),
    help="The file to write, replacing one that is there: .html, .svg or .pdf.",
)  # fmt: skip
@click.option(
    "--size", type=click.Choice(SIZES), default="24", show_default=True,
    help="How many stickers an A4 sheet has.",
)  # fmt: skip
@click.option("--line", metavar="TEXT", default="", help='A line of text: "scan to start".')
@click.option("--phone", is_flag=True, help="With the service telephone, or the device's own.")
@click.option("--cut/--no-cut", default=True, show_default=True, help="Draw lines to cut along.")
@common
def labels(
    where: Where, imeis: tuple[str, ...], site: str | None, out: str, size: str, line: str,
    phone: bool, cut: bool,
) -> None:  # fmt: skip
    """Make A4 sheets of QR stickers for a site, or for the devices named.

    65, 24, 21, 8 or 2 stickers on a sheet: 38 x 21, 65 x 34, 64 x 38, 99 x 68 or 200 x 144 mm.
    More than one sheet as .svg becomes FILE-1.svg, FILE-2.svg, ...

    A name that is long is set smaller or in two lines; its end, which tells machines apart,
    is always there. "No." is in the language of this command (DEVGATE_LANG).

    A .pdf shows Chinese in a Chinese font of whoever opens it, and has Latin and Chinese alone:
    names in other scripts want .html or .svg.

    \b
    Examples:
      devgate labels --site "Airport T2" --out airport.pdf
      devgate labels 123456787654321 --size 8 --out one.svg
      devgate labels --site 机场 --line 扫码启动 --phone --out 机场.pdf
    """
    kind = Path(out).suffix.lower()
    if kind not in SUFFIXES:
        fail(f"--out: a file that ends with {', '.join(SUFFIXES)} expected, not {out!r}")
    if bool(imeis) == (site is not None):
        fail("--site SITE or one IMEI or more expected, and not both")
    line = line.strip()
    if len(line) > MAX_LINE or not line.isprintable():
        fail(f"--line: at most {MAX_LINE} characters on one line expected, not {shown(line)}")
    found = _labels(where, imeis, site, line, phone)
    if not found:
        fail(f"no device has the site {site!r}; `devgate devices list` shows what there is", 5)
    try:
        files = _write(found, Path(out), kind, size, cut)
    except OSError as err:
        fail(f"{out} cannot be written: {err.strerror}")
    count = "1 label" if len(found) == 1 else f"{len(found)} labels"
    reply = {"status": "200", "message": f"{count} in {', '.join(files)}"}
    finish(reply | {"labels": len(found), "files": files}, where.as_json)


def _labels(
    where: Where, imeis: Sequence[str], site: str | None, line: str, phone: bool
) -> list[Label]:
    from devgate.gateway.known.directory import Directory
    from devgate.labels.sheet import Label
    from devgate.model import Imei
    from devgate.store import device_pages, devices
    from devgate.store.device_filters import WantedDevices

    service = settings_of(where).service
    directory = Directory(service.phone, service.qr)
    found = []
    with store(where) as database, database.read() as conn:
        if site is None:
            wanted = list(dict.fromkeys(map(Imei, imeis)))
            known = {device.imei: device for device in devices.among(conn, wanted)}
            for imei in wanted:
                if imei not in known:
                    raise devices.unknown(imei)
            found = [known[imei] for imei in wanted]
        else:
            after: str | None = None
            while (
                page := device_pages.find(conn, WantedDevices(site=site), PAGE_SIZE, after=after)
            ).rows:
                found += [row.device for row in page.rows]
                if (after := page.next) is None:
                    break
    made = []
    for device in found:
        directory.put(device)
        text = (directory.text(device.imei, "QR") or b"").decode()
        called = (directory.text(device.imei, "TN") or b"").decode() if phone else ""
        number = said(f"No. {device.id}")
        made.append(Label(device.imei, number, device.name, device.site, text, line, called))
    return made


def _write(found: Sequence[Label], out: Path, kind: str, size: str, cut: bool) -> list[str]:
    """Write the file or files. Returns their names."""
    from devgate.labels import pdf, sheet

    pages = sheet.pages(found, sheet.SIZES[size])
    if kind == ".pdf":
        out.write_bytes(pdf.pdf(pages, cut=cut))
        if missing := pdf.unwritable(
            "".join(label.name + label.site + label.line for label in found)
        ):
            print_error(
                f"no font of a PDF has {shown(missing)}: question marks stand for that;"
                f" write {out.with_suffix('.html').name} instead, and print it with a browser"
            )
        return [str(out)]
    drawn = [sheet.svg(page, cut=cut) for page in pages]
    if kind == ".html":
        out.write_text(sheet.document(drawn, out.stem), "utf-8")
        return [str(out)]
    names = [out]
    if len(drawn) > 1:
        names = [out.with_stem(f"{out.stem}-{number}") for number in range(1, len(drawn) + 1)]
    for name, one in zip(names, drawn, strict=True):
        name.write_text(one, "utf-8")
    return [str(name) for name in names]

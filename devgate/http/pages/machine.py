"""Forms that change the list of machines: add, edit, enable, disable, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from devgate.errors import DevgateError
from devgate.http.pages.chosen import named_sites, wrong_field
from devgate.http.pages.view import Visit, redirect
from devgate.model import Imei, duration
from devgate.store.device import COLUMNS, RECORD, UNITS
from devgate.store.machine_record import degrees

BLANK: Mapping[str, Any] = {
    "imei": "", "id": "", "name": "", "site": "", "phone": "", "qr": "", "unit": UNITS[0],
    "ack_timeout": "", "enabled": True, **dict.fromkeys(RECORD, ""),
}  # fmt: skip
EMPTY_IS_NULL = ("phone", "qr", "ack_timeout", *RECORD)  # the value of the settings, or not known
UNSTRIPPED = ("qr", "note")  # white space at their ends is kept
# Of each field of the record: the text beneath it, how many characters it takes, and the keyboard
# that a telephone shows.
RECORD_FIELDS = (
    ("model", "", 64, ""),
    ("serial", "The maker's own number, as on its plate.", 64, ""),
    ("firmware", "", 64, ""),
    ("installed_on", "", 10, "date"),
    ("iccid", "18 to 22 digits, printed on the SIM.", 22, ""),
    ("sim_phone", "", 32, "tel"),
    ("tags", "Words to find it by, with commas between.", 840, ""),
    ("latitude", "Degrees north, such as 31.2304; south is below 0.", 20, ""),
    ("longitude", "Degrees east, such as 121.4737; west is below 0.", 20, ""),
    ("note", "", 500, ""),
)
SAID = "said"  # in an address: what was done, for a message on the page


async def add(visit: Visit) -> Response:
    """An empty form; `imei` and `site` of the query are filled in."""
    visit.must("add")
    query = visit.request.query_params
    given = {name: query.get(name, "")[:200] for name in ("imei", "site")}
    return await _form(visit, {**BLANK, **given})


async def added(visit: Visit) -> Response:
    """Add the device, or show the form again with what is wrong."""
    fields = await visit.form()
    visit.must("add")
    shown = _shown(fields)
    try:
        await visit.ask("add", imei=shown["imei"].strip(), **_given(shown, BLANK))
    except DevgateError as err:
        return await _form(visit, shown, err)
    again = "again" in fields  # the next one of the same site
    path = f"/devices/add?site={quote(shown['site'])}&" if again else f"/devices/{shown['imei']}?"
    return redirect(f"{path}{SAID}=added-{shown['imei'].strip()}")


async def edit(visit: Visit) -> Response:
    """The form with what is known of a device."""
    visit.must("edit")
    known = await visit.ask("device", imei=visit.device)
    return await _form(visit, _of(known), old=_of(known))


async def edited(visit: Visit) -> Response:
    """Change the fields that were edited: what others changed in the meantime stays."""
    fields, device = await visit.form(), visit.device
    visit.must("edit")
    shown = {**_shown(fields), "imei": device}
    old = {name: fields.get(f"old-{name}", BLANK[name]) for name in COLUMNS}
    old |= {"imei": device, "enabled": fields.get("old-enabled") == "1"}
    try:
        if changes := _given(shown, old):
            await _change(visit, device, changes)
    except DevgateError as err:
        return await _form(visit, shown, err, old=old)
    return redirect(f"/devices/{device}?{SAID}=changed")


async def _change(visit: Visit, device: Imei, changes: Mapping[str, Any]) -> None:
    caller = visit.must("edit")
    # Not visit.ask(): here a None means something.
    await visit.web.dispatch({"type": "edit", "imei": device, **changes}, caller.source)


def _of(known: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a device for the form."""
    shown = {name: "" if known.get(name) is None else known[name] for name in COLUMNS}
    if known["ack_timeout"] is not None:
        shown["ack_timeout"] = f"{known['ack_timeout']:g}"
    for name in ("latitude", "longitude"):
        if known[name] is not None:
            shown[name] = f"{known[name]:.15g}"
    return shown


def _shown(fields: Mapping[str, str]) -> dict[str, Any]:
    """The values of a form that was sent. Browsers send line breaks as CR LF."""
    shown: dict[str, Any] = {name: fields.get(name, BLANK[name]) for name in COLUMNS}
    return {**shown, "enabled": fields.get("enabled") == "1"}


def _given(shown: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that differ from before, as an operation takes them."""
    given: dict[str, Any] = {}
    for name in COLUMNS[1:]:
        value = shown[name]
        if str(value) == str(old[name]):
            continue
        if name in EMPTY_IS_NULL and not str(value).strip():
            given[name] = None
        elif name == "id":
            text = value.strip()
            given[name] = int(text) if text.isascii() and text.isdigit() else text or None
        elif name == "ack_timeout":
            given[name] = _seconds(value)
        elif name in ("latitude", "longitude"):
            given[name] = degrees(name, value.strip())
        else:
            given[name] = (
                value.strip() if isinstance(value, str) and name not in UNSTRIPPED else value
            )
    return given


def _seconds(text: str) -> float | str:
    try:
        return duration(text)
    except (ValueError, OverflowError):
        return text  # the operation says what is wrong with it


async def _form(
    visit: Visit,
    shown: Mapping[str, Any],
    err: DevgateError | None = None,
    *,
    old: Mapping[str, Any] | None = None,
) -> Response:
    said = visit.request.query_params.get(SAID, "")
    return visit.page(
        "machine.html",
        title=visit.t("Add a device") if old is None else visit.t("Edit"),
        machine=shown,
        old=old,
        err=err,
        wrong=wrong_field(err, COLUMNS),
        record=RECORD,
        record_fields=RECORD_FIELDS,
        recorded=any(shown[name] not in (None, "") for name in RECORD),
        sites=await named_sites(visit),
        settings=visit.web.gateway.settings,
        added=said.removeprefix("added-") if said.startswith("added-") else "",
    )


async def confirm(visit: Visit) -> Response:
    """The page that says what it means to disable or delete a machine, with the button for it."""
    what = visit.request.url.path.rpartition("/")[2]
    visit.must("remove" if what == "remove" else "edit")
    status = await visit.ask("status", imei=visit.device)
    titles = {"remove": "Delete {name}?", "disable": "Disable {name}?"}
    title = visit.t(titles[what], name=status["name"] or status["imei"])
    return visit.page("machine_confirm.html", title=title, device=status, what=what)


async def disabled(visit: Visit) -> Response:
    """Refuse the machine from now on."""
    return await _enabled(visit, yes=False)


async def enabled(visit: Visit) -> Response:
    """Let the machine register again."""
    return await _enabled(visit, yes=True)


async def _enabled(visit: Visit, *, yes: bool) -> Response:
    await visit.form()
    device = visit.device
    await visit.ask("edit", imei=device, enabled=yes)
    return redirect(f"/devices/{device}?{SAID}={'enabled' if yes else 'disabled'}")


async def removed(visit: Visit) -> Response:
    """Forget the machine."""
    await visit.form()
    device = visit.device
    await visit.ask("remove", imei=device)
    return redirect(f"/devices?{SAID}=removed-{device}")

"""A known machine, and what can be stored of one."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from devgate.model import MAX_TEXT, Imei, shown
from devgate.store.machine_record import bad as bad
from devgate.store.machine_record import check_text, checked_record

Unit = Literal["seconds", "times"]
MAX_ACK_TIMEOUT = 300.0  # seconds
UNITS: Final = ("seconds", "times")
MAX_ID = 2**31 - 1  # the column's type in PostgreSQL
MAX_NAME = 200  # characters of a name or a site: what still makes a line of a list


class Device(NamedTuple):
    """A known machine, as the operator describes it, in the columns of its table."""

    imei: Imei
    id: int
    name: str = ""
    site: str = ""
    phone: str | None = None  # None: the gateway's own [service] text
    qr: str | None = None
    unit: Unit = "seconds"
    ack_timeout: float | None = None  # seconds to answer a command; None: [command] ack_timeout
    enabled: bool = True
    # The record of the machine (`machine_record`): of a device that is read by these columns.
    iccid: str | None = None
    sim_phone: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None
    installed_on: str | None = None  # a day: 2026-11-24
    note: str | None = None
    tags: str | None = None  # sorted, with commas between
    latitude: float | None = None  # degrees north
    longitude: float | None = None  # degrees east


COLUMNS: Final = Device._fields
MEMORY_COLUMNS: Final = COLUMNS[: COLUMNS.index("enabled") + 1]  # that the gateway has in memory
RECORD: Final = COLUMNS[len(MEMORY_COLUMNS) :]
# A QR text may have lines (a visiting card) and turn text around: it is in no list.
_OF_QR = "\r\n\t\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
NULLABLE: Final = ("phone", "qr", *RECORD)  # a text or nothing


def filled(text: str, imei: str, id: int) -> str:
    """A configured or stored text as a device gets it."""
    return text.replace("{id}", str(id)).replace("{imei}", imei)


def checked(device: Device) -> Device:
    """The device itself, if it can be stored. Raises CallerError (400), which names the field.

    The IMEI was checked where it came in. An empty phone or qr means none.
    """
    if device.phone == "" or device.qr == "":
        device = device._replace(phone=device.phone or None, qr=device.qr or None)
    if type(device.id) is not int or not 0 <= device.id <= MAX_ID:
        raise bad("id", f"a number from 0 to {MAX_ID} expected, not {shown(device.id)}")
    if device.unit not in UNITS:
        raise bad("unit", f"seconds or times expected, not {shown(device.unit)}")
    given_timeout = device.ack_timeout
    if given_timeout is not None and not 0 < given_timeout <= MAX_ACK_TIMEOUT:
        raise bad(
            "ack_timeout",
            f"more than 0 and at most {MAX_ACK_TIMEOUT:g} seconds expected, not {given_timeout:g}",
        )
    for name, text in (("name", device.name), ("site", device.site)):
        check_text(name, text)
        if len(text) > MAX_NAME:
            raise bad(name, f"at most {MAX_NAME} characters expected, not {len(text)}")
    for name, given in (("phone", device.phone), ("qr", device.qr)):
        if given is not None:
            check_text(name, given, _OF_QR if name == "qr" else "")
            # Also in the stored form, because of the limit of the column.
            size = max(len(filled(given, device.imei, device.id).encode()), len(given.encode()))
            if size > MAX_TEXT:
                raise bad(name, f"at most {MAX_TEXT} bytes fit into a frame, and this is {size}")
    record = device[len(MEMORY_COLUMNS) :]
    if any(value is not None for value in record):
        return device._replace(**checked_record(dict(zip(RECORD, record, strict=True))))
    return device

"""The sites as dots on a plain outline of the land, which is a file of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from devgate.gateway.operations import at_hand
from devgate.http.pages.view import Visit
from devgate.http.pages.words import number

MIN_DEGREES = 2.0  # degrees of longitude that are shown at first, at least
ALONE_DEGREES = 30.0  # the same if there is only one place
MARGIN_FACTOR = 1.25  # how much larger the map is at first than the area of all sites
MAX_ZOOM = 8  # each level shows half as many degrees
MAX_NAMED = 30  # sites whose names stand beside their dots: the largest of those that are shown
WIDTH, HEIGHT = 1000.0, 560.0  # of the picture, in units of its own


class MapWindow(NamedTuple):
    """The part of the map that is shown. Shapes are true at its middle parallel."""

    latitude: float  # of the middle
    longitude: float
    degrees: float  # of longitude, over the whole width

    @property
    def scale(self) -> float:
        """Units of the picture for a degree of longitude."""
        return WIDTH / self.degrees

    @property
    def stretch(self) -> float:
        """How much longer than a degree of longitude a degree of latitude is."""
        return 1 / max(0.2, math.cos(math.radians(self.latitude)))

    def at(self, latitude: float, longitude: float) -> tuple[float, float]:
        """A place in the picture."""
        x = WIDTH / 2 + (longitude - self.longitude) * self.scale
        y = HEIGHT / 2 - (latitude - self.latitude) * self.scale * self.stretch
        return round(x, 1), round(y, 1)

    def moved(self, east: float, north: float) -> MapWindow:
        """The part that is `east` widths and `north` heights away."""
        high = self.degrees * HEIGHT / WIDTH / self.stretch
        return self._replace(
            latitude=min(85.0, max(-85.0, self.latitude + north * high)),
            longitude=min(180.0, max(-180.0, self.longitude + east * self.degrees)),
        )


def around(places: Sequence[Mapping[str, Any]]) -> MapWindow:
    """The window that has all of them."""
    if not places:
        return MapWindow(20.0, 0.0, 360.0)
    north, east = ([one[name] for one in places] for name in ("latitude", "longitude"))
    middle = MapWindow((min(north) + max(north)) / 2, (min(east) + max(east)) / 2, 1.0)
    wide = max(east) - min(east)
    high = (max(north) - min(north)) * middle.stretch * WIDTH / HEIGHT
    if wide == high == 0:  # a single place needs the land around it
        return middle._replace(degrees=ALONE_DEGREES)
    return middle._replace(
        degrees=min(360.0, max(MIN_DEGREES, MARGIN_FACTOR * wide, MARGIN_FACTOR * high))
    )


def _number(text: str, limit: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if -limit <= value <= limit else None


async def show(visit: Visit) -> Response:
    """The map, and the same as a list."""
    found: Mapping[str, Any] = await visit.ask_or(at_hand.now(at_hand.places), "places")
    query = visit.request.query_params
    items: Sequence[Mapping[str, Any]] = found["items"]
    whole = around(items)
    zoom = min(MAX_ZOOM, number(query.get("zoom", "")) or 0)
    north, east = _number(query.get("north", ""), 85), _number(query.get("east", ""), 180)
    window = MapWindow(
        whole.latitude if north is None else north,
        whole.longitude if east is None else east,
        whole.degrees / 2**zoom,
    )
    dots = [dot for one in items if (dot := _dot(window, one)) is not None]
    return visit.page(
        "map.html",
        title=visit.t("Map"),
        found=found,
        dots=dots[::-1],  # the largest lie beneath
        names=dots[:MAX_NAMED],
        land=_land(window),
        size=(WIDTH, HEIGHT),
        zoom=zoom,
        links={
            "in": _query(window, min(MAX_ZOOM, zoom + 1)),
            "out": _query(window, zoom - 1) if zoom > 1 else "",
            **{
                name: _query(window.moved(*by), zoom)
                for name, by in (("west", (-0.5, 0.0)), ("east", (0.5, 0.0)),
                                 ("north", (0.0, 0.5)), ("south", (0.0, -0.5)))
            },
        },
    )  # fmt: skip


def _query(window: MapWindow, zoom: int) -> str:
    place = {"north": f"{window.latitude:.4f}", "east": f"{window.longitude:.4f}"}
    return "?" + urlencode({"zoom": zoom, **place})


def _land(window: MapWindow) -> dict[str, float]:
    """Where the image of the whole land lies in the picture."""
    x, y = window.at(90.0, -180.0)
    return {
        "x": x, "y": y, "width": round(360 * window.scale, 1),
        "height": round(180 * window.scale * window.stretch, 1),
    }  # fmt: skip


def _dot(window: MapWindow, one: Mapping[str, Any]) -> dict[str, Any] | None:
    x, y = window.at(one["latitude"], one["longitude"])
    if not (0 <= x <= WIDTH and 0 <= y <= HEIGHT):
        return None
    share = one["offline"] / one["devices"] if one["devices"] else 0.0
    state = "failed" if share >= 0.2 else "unknown" if one["offline"] else "online"
    size = min(16.0, 5 + 1.5 * math.log2(1 + one["devices"]))
    return {**one, "x": x, "y": y, "size": round(size, 1), "state": state}

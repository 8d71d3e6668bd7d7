"""The map's window: all sites are in it, and it moves and zooms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devgate.http.pages.site_map import HEIGHT, WIDTH, around

places = st.lists(
    st.fixed_dictionaries({
        "latitude": st.floats(-60, 75), "longitude": st.floats(-175, 175)
    }), min_size=1, max_size=20,
)  # fmt: skip


@given(places)
def test_all_sites_are_in_the_first_window(some: list[dict[str, float]]) -> None:
    window = around(some)
    for one in some:
        x, y = window.at(one["latitude"], one["longitude"])
        assert 0 <= x <= WIDTH
        # Not all parallels of the whole earth fit in: then people zoom and move.
        assert 0 <= y <= HEIGHT or window.degrees == 360


def test_it_is_moved_by_parts_of_what_is_shown() -> None:
    near = ({"latitude": 31.0 + by, "longitude": 121.0 + by} for by in (-0.5, 0.5))
    window = around([*near])
    assert window.at(31.0, 121.0) == (WIDTH / 2, HEIGHT / 2)
    assert window.moved(0.5, 0).at(31.0, 121.0) == (0.0, HEIGHT / 2)
    x, y = window.moved(0, -0.5).at(31.0, 121.0)
    assert x == WIDTH / 2
    assert abs(y) < 10, "the parallels are a little farther apart there"
    assert around([]).degrees == 360
    alone = around([{"latitude": 31.0, "longitude": 121.0}])
    assert alone.degrees > window.degrees, "there is land around it to know the place by"

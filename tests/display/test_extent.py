"""Axes that follow a run: they stand still as long as they show it well, and leave room where it grows."""

import numpy as np
import pytest

from sqlmagic_xr.display.extent import Extent, extent_x, extent_y


def test_an_axis_stands_still_while_it_shows_the_lines_well():
    before = Extent(0.0, 100.0)
    assert Extent(10.0, 90.0).following(before, room=0.25) is before
    assert Extent(10.0, 50.0).following(before, room=0.25) == Extent(10.0, 50.0), "they have become a small part of it"
    assert Extent(1.0, 2.0, log=True).following(before, room=0.25).log


@pytest.mark.parametrize("room", [0.0, 0.25, 0.5])
def test_it_leaves_room_on_the_side_to_which_they_grow(room):
    assert Extent(0.0, 200.0).following(Extent(0.0, 100.0), room=room) == Extent(0.0, 200.0 + 200 * room)
    assert Extent(-200.0, 0.0).following(Extent(0.0, 1.0), room=room) == Extent(-200.0 - 200 * room, 0.0)


def test_a_run_of_any_length_needs_few_axes():
    axis, count = Extent(0.0, 0.0), 0
    for step in range(1, 100_000):
        new = Extent(0.0, float(step)).following(axis, room=0.5)
        count += new is not axis
        axis = new
    assert count < 30


def test_what_is_to_be_shown():
    assert extent_x(np.array([3, 1, 2])) == Extent(1.0, 3.0)
    assert extent_x(np.array([])) == Extent(0.0, 1.0)
    days = np.array(["NaT", "1970-01-02", "1970-01-03"], "datetime64[D]")
    assert extent_x(days) == Extent(86_400e6, 2 * 86_400e6)
    lines = [np.array([np.nan, 10.0, np.inf]), np.array([1000.0, -1.0, 0.0])]
    assert extent_y(lines, log=False) == Extent(-1.0, 1000.0)
    assert extent_y(lines, log=True) == Extent(1.0, 3.0, log=True)
    assert extent_y([*lines, np.array([-1.0])], log=True) == Extent(-1.0, 1000.0)
    assert extent_y([], log=True) == Extent(0.0, 1.0)


def test_the_largest_numbers_there_are():
    both = Extent(-1e308, 1e308)
    assert both.following(Extent(0.0, 1.0), room=0.25) == both

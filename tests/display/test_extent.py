"""What an axis shows of numbers, dates and lines."""

import numpy as np

from sqlmagic_xr.display.extent import Extent, extent_x, extent_y


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

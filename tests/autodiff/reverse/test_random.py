"""Gradients of random queries against central differences of the queries themselves."""

import numpy as np
import pytest

from tests.autodiff.reverse.queries import Maker


def agree(setting, ctes):
    """Whether a gradient is that of central differences; None where there is no number to compare."""
    expected, here = setting.along(ctes)
    if not np.isfinite(expected):
        return None
    found = setting.gradient(ctes)
    assert list(np.isnan(found[0])) == [k == 4 for k in range(11)]
    assert list(np.isnan(found[1])) == [k == 6 for k in range(11)]
    along = sum(np.nansum(g * d) for g, d in zip(found, setting.direction, strict=True))
    return abs(along - expected) <= 1e-5 * (1 + abs(expected) + abs(here))


@pytest.mark.parametrize("part", range(4))
def test_gradients_of_random_queries_are_those_of_central_differences(part, setting):
    checked = 0
    for seed in range(15 * part, 15 * part + 15):
        ctes = Maker(seed).loss()
        found = agree(setting, ctes)
        checked += found is not None
        assert found is not False, f"seed {seed}: {ctes}"
    assert checked >= 12

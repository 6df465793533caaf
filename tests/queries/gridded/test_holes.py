"""Numbers of a query that differ from step to step: what is one, and that they are those of the literals."""

import math

import numpy as np
import pytest

from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.queries.gridded.holes import Holes, real
from sqlmagic_xr.sql.algebra import Parameter
from sqlmagic_xr.train.steps.template import parameter_text


def test_a_real_number_is_that_of_its_literal_to_the_last_bit():
    bits = np.random.default_rng(0).integers(0, 2**64, 2_000, dtype=np.uint64).view(np.float64)
    for value in (*bits[np.isfinite(bits)].tolist(), 0.0, -0.0, 5e-324, 1e16, -1e22, 1.7976931348623157e308):
        found = real(parameter_text(value))
        assert found == value
        assert math.copysign(1.0, found) == math.copysign(1.0, value)


@pytest.mark.parametrize("value", [3, -3, 2**60, True, "0.5", None, math.nan, math.inf, -math.inf])
def test_what_is_no_real_number_is_none(value):
    assert real(parameter_text(value)) is None


def test_numbers_are_told_in_the_order_in_which_cells_ask_for_them():
    holes = Holes({"a": "0.5", "b": "(-2.0)", "k": "3"})
    for name in ("b", "a", "b"):
        assert holes.cells(Parameter(f":{name}")).type == "double"
    assert holes.used == ["b", "a"]
    assert holes.numbers({"a": "1.0", "b": "2.5", "k": "4"}) == (2.5, 1.0)
    assert holes.numbers({"a": "1", "b": "2.5", "k": "4"}) is None
    with pytest.raises(Refused, match="no real number"):
        holes.cells(Parameter(":k"))

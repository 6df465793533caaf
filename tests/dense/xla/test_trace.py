"""The graph of random statements calculated by XLA gives what NumPy gives, or asks for NumPy."""

from collections import Counter

import jax
import numpy as np
import pytest

from sqlmagic_xr.dense.arrays import MAPS
from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.dense.running.align import Alignment
from sqlmagic_xr.dense.running.layout import needed_of
from sqlmagic_xr.dense.xla.functions import Kit, functions
from sqlmagic_xr.dense.xla.rows import Masked
from sqlmagic_xr.dense.xla.trace import Trace
from sqlmagic_xr.engine.faults import integers
from sqlmagic_xr.engine.faults.reading import Reading
from sqlmagic_xr.engine.faults.tables import EngineTables
from sqlmagic_xr.grids.arrow import arrow
from sqlmagic_xr.sql.syntax import parse_one
from tests.dense.test_same_meaning import KEYS, Viewed, World, Writer, assert_same

SEEDS, STATEMENTS = 2, 14  # each operation is compiled by itself here, which takes longer than it
READ = ("axis", "cells", "known", "present", "parameter", "unheld", "constant")


def both(world, sql, *, masked=False):
    """The rows by NumPy and by XLA, and whether XLA asks for NumPy; ``masked`` has it find out which rows there are."""
    grids = Viewed(lambda name: world.tables.get(name[0]), lambda name: KEYS.get(name[0], ()))
    tree = integers.widened(Reading(parse_one(sql).tree, EngineTables(world.context)))
    program = Program([LoweredQuery(tree["Query"], tuple((name,) for name in world.tables))], grids, {})
    step = program.step(grids, {}, whole=True)
    expected = arrow(step.run(0))
    code = program.code(0)
    read = {n: v for n, v in step.known.items() if n.op in READ or (isinstance(v, Alignment) and not masked)}
    kit = Kit()
    with jax.enable_x64(True), np.errstate(all="ignore"):
        trace = Trace(kit, read, {})
        found = {n: there(trace, n) for part, _ in code.parts for n in needed_of(part) if n not in read or masked}
        flagged = any(bool(flag) for flag in kit.flags)
    return expected, arrow(code.result.of({**read, **found})), flagged


def there(trace, node):
    """A value without the rows that there are not."""
    value = trace.value(node)
    if isinstance(value, Alignment):
        present = np.asarray(value.present) if isinstance(value, Masked) else slice(None)
        return Alignment(np.asarray(value.coordinates)[present])
    value = np.asarray(value)
    for place, axis in enumerate(node.dims):
        origin = trace.value(axis.origin)
        if isinstance(origin, Masked):
            value = np.compress(np.asarray(origin.present), value, axis=place)
    return value[()]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_statements_mean_the_same(seed, masked):
    world = World(seed)
    writer, ran = Writer(world), Counter()
    for _ in range(STATEMENTS):
        sql = writer.statement()
        try:
            expected, found, flagged = both(world, sql, masked=masked)
        except Refused:
            ran["refused"] += 1
            continue
        ran["flagged" if flagged else "same"] += 1
        if not flagged:
            assert_same(found, expected, sql)
    assert ran["same"] >= STATEMENTS // 5
    assert ran["flagged"] <= STATEMENTS // 5


def test_every_function_of_cells_is_there():
    assert functions(Kit()).keys() == MAPS.keys()


class TestFunctions:
    """What NumPy refuses is a flag, and a zero has the sign that it has there."""

    def run(self, name, *args):
        with jax.enable_x64(True):
            kit = Kit()
            found = functions(kit)[name](*(jax.numpy.asarray(a) for a in args))
            return np.asarray(found), any(bool(flag) for flag in kit.flags)

    @pytest.mark.parametrize(
        ("name", "args"),
        [
            ("integer /", ([1, 2], [1, 0])),
            ("integer %", ([-(2**63), 1], [-1, 1])),
            ("abs", ([-(2**63)],)),
            ("integer +", ([2**63 - 1], [1])),
            ("integer -", ([-(2**63)], [1])),
            ("integer *", ([2**62], [2])),
            ("integer negative", ([-(2**63)],)),
            ("float <", ([1.0, np.nan], [1.0, 1.0])),
            ("float =", ([1.0], [np.nan])),
            ("larger", ([np.nan], [1.0])),
            ("to int32", ([2.0**31],)),
            ("to int64", ([np.inf],)),
            ("power unless zero", ([0.0], [-1.0])),
        ],
    )
    def test_a_flag(self, name, args):
        assert self.run(name, *args)[1]

    @pytest.mark.parametrize(
        ("name", "args", "expected"),
        [
            ("integer /", ([-7, 7, 6], [2, -2, 3]), [-3, -3, 2]),
            ("integer %", ([-7, 7], [2, -2]), [-1, 1]),
            ("integer *", ([-(2**61), 3], [2, -5]), [-(2**62), -15]),
            ("float =", ([-0.0], [0.0]), [True]),
            ("round", ([0.5, -0.5, 2.5, 0.49999999999999994],), [1.0, -1.0, 3.0, 0.0]),
            ("trunc", ([-0.0, -1.5],), [0.0, -1.0]),
            ("larger", ([-0.0, 1.0], [0.0, 2.0]), [0.0, 2.0]),
            ("smaller", ([0.0], [-0.0]), [-0.0]),
            ("signum", ([-0.0, -3.0],), [0.0, -1.0]),
        ],
    )
    def test_a_value(self, name, args, expected):
        found, flagged = self.run(name, *args)
        assert not flagged
        np.testing.assert_array_equal(found, expected)
        if found.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(found), np.signbit(np.array(expected, float)))


def test_nothing_of_the_process_is_changed():
    with jax.enable_x64(True):
        pass
    assert jax.numpy.ones(1).dtype == np.float32
    assert not jax.config.jax_enable_x64


def test_sums_by_the_values_of_a_column():
    world = World(3)
    assert not world.tables["plain"]["f"].null_count
    sql = """SELECT t, SUM(f * f) AS s, COUNT(*) AS n, COUNT(*) FILTER (WHERE f > 0 AND f < 9) AS some,
        AVG(f) FILTER (WHERE f > 0) AS m FROM plain GROUP BY t"""
    expected, found, flagged = both(world, sql)
    assert not flagged
    assert expected.num_rows == 3
    assert_same(found, expected, sql)

"""Tables that change between two steps: by another cell's thread, a callback, a view that is replaced."""

import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.train.events import Stepped

WAYS = [{}, {"executor": "relational"}, {"verbatim": True}]
WAY_NAMES = ["auto", "relational", "verbatim"]


def context(*statements):
    ctx = Context()
    ctx.script("; ".join(statements))
    return ctx


def after(ctx, changes, **more):
    """A callback that runs SQL, or calls a function, once the generation of that number is made."""

    def receive(event):
        what = changes.get(event.generation) if isinstance(event, Stepped) else None
        if isinstance(what, str):
            ctx.script(what)
        elif what is not None:
            what()

    return receive


def rows(ctx, query="SELECT * FROM p ORDER BY step"):
    return [tuple(row.values()) for row in ctx.sql(query).to_arrow_table().to_pylist()]


@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
def test_a_relation_that_is_kept_never_takes_the_name_of_another(way):
    ctx = context(
        "CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE)", "INSERT INTO p VALUES (0, 0, 0)",
        "CREATE TABLE u (g BIGINT, x DOUBLE)", "INSERT INTO u VALUES (1, 1), (2, 2), (3, 3)",
        "CREATE TABLE v (g BIGINT, x DOUBLE)", "INSERT INTO v VALUES (1, 100), (2, 200), (3, 300)",
    )  # fmt: skip
    changes = {2: "UPDATE u SET x = x + 1", 4: "UPDATE v SET x = x + 1", 5: "UPDATE u SET x = x * 2"}
    step = "INSERT INTO p SELECT :next_step, median(u.x), median(v.x) FROM u JOIN v ON u.g = v.g"
    ctx.train(step, steps=6, on_event=after(ctx, changes), **way)
    assert rows(ctx)[1:] == [(1, 2, 200), (2, 2, 200), (3, 3, 200), (4, 3, 200), (5, 3, 201), (6, 6, 201)]

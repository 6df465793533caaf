"""A query is bound once for its tree and the state of the tables, and again where what it depends on has changed."""

import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.relation.facts import types
from sqlmagic_xr.relation.nodes import Opaque
from sqlmagic_xr.sql.syntax import parse_one


@pytest.fixture
def ctx():
    found = Context()
    found.script("CREATE TABLE p (step BIGINT, a DOUBLE); INSERT INTO p VALUES (0, 1.0);"
                 "CREATE VIEW v AS SELECT step, a FROM p; CREATE TABLE other (n BIGINT)")  # fmt: skip
    return found


def test_rows_do_not_change_what_a_query_means(ctx):
    tree = parse_one("SELECT a FROM v").tree["Query"]
    first = ctx.tables.bound(tree)
    ctx.script("INSERT INTO p VALUES (1, 2.0); CREATE TABLE more (n BIGINT); DELETE FROM p WHERE step = 0")
    assert ctx.tables.bound(tree) is first


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("CREATE OR REPLACE VIEW v AS SELECT step AS a FROM p", "int64"),
        ("DROP VIEW v; DROP TABLE p; CREATE TABLE p (a BIGINT); CREATE VIEW v AS SELECT * FROM p", "int64"),
        ("DROP VIEW v; CREATE TABLE v (a BIGINT)", "int64"),
    ],
)
def test_it_is_bound_anew_for_other_tables(ctx, change, kind):
    tree = parse_one("SELECT a FROM v").tree["Query"]
    assert types(ctx.tables.bound(tree)) == ("double",)
    ctx.script(change)
    assert types(ctx.tables.bound(tree)) == (kind,)


def test_a_view_that_is_gone_means_nothing(ctx):
    tree = parse_one("SELECT a FROM v").tree["Query"]
    assert types(ctx.tables.bound(tree)) == ("double",)
    ctx.script("DROP VIEW v")
    assert isinstance(ctx.tables.bound(tree), Opaque)


def test_a_table_that_was_not_there_is_found_when_it_is(ctx):
    tree = parse_one("SELECT n FROM later").tree["Query"]
    assert isinstance(ctx.tables.bound(tree), Opaque)
    ctx.script("CREATE TABLE later (n BIGINT)")
    assert types(ctx.tables.bound(tree)) == ("int64",)


def test_a_registered_table_is_followed(ctx):
    ctx.from_pydict({"n": [1]}, "beside")
    tree = parse_one("SELECT n FROM beside").tree["Query"]
    assert types(ctx.tables.bound(tree)) == ("int64",)
    ctx.deregister_table("beside")
    ctx.from_pydict({"n": ["a"]}, "beside")
    assert types(ctx.tables.bound(tree)) == ("string",)


def test_no_more_stay_bound_than_a_session_repeats(ctx):
    trees = [parse_one("SELECT n FROM other").tree["Query"] for _ in range(200)]
    for tree in trees:
        assert types(ctx.tables.bound(tree)) == ("int64",)
    assert len(ctx.tables._bound) <= 64

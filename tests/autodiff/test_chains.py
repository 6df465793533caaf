"""Chains of thousands of terms are derived and printed: no walk over an expression is recursive in their length."""

import math
from functools import reduce

import pytest

from sqlmagic_xr import differentiate
from sqlmagic_xr.autodiff.reverse.finding import selects
from sqlmagic_xr.autodiff.sharing import share
from sqlmagic_xr.autodiff.size import size
from sqlmagic_xr.relation.reads import may_compute_columns
from sqlmagic_xr.sql import algebra
from sqlmagic_xr.sql.expression import Call, Literal, bottom_up, columns, parse, to_sql, unique
from sqlmagic_xr.sql.printing import to_sql as print_tree
from sqlmagic_xr.sql.syntax import parse_one, transform


@pytest.mark.parametrize("sign", ["+", "-", "*", "OR", "||"])
def test_an_expression_of_3000_terms_is_read_compared_and_printed(sign):
    text = f" {sign} ".join(["v"] * 3000)
    one, other = parse(text), parse(text)
    assert one == other
    assert hash(one) == hash(other)
    assert columns(one) == {("v",)}
    assert to_sql(unique(one, {})).upper() == text.upper()


def test_a_statement_of_3000_terms_is_changed_and_printed():
    text = "SELECT " + " + ".join(["v"] * 3000) + " FROM t"
    tree = parse_one(text).tree
    assert print_tree(transform(tree, lambda node: dict(node) if "Identifier" in node else None)) == text


def test_a_sum_of_3000_terms_has_a_derivative():
    assert differentiate(" + ".join(["w * v"] * 3000), "w").count("v") in (1, 3000)


def test_a_query_of_500_derived_terms_runs(context):
    rows = context.sql("SELECT grad(" + " + ".join(["w * v"] * 500) + ", w) AS g FROM (SELECT 2.0 AS w, 3.0 AS v)")
    assert rows.to_pydict() == {"g": [1500.0]}


def test_a_product_of_250_factors_has_a_derivative_of_their_length(context):
    places = range(2, 252)
    chain = " * ".join(f"(1 + v / {n}.0)" for n in places)
    found = differentiate(chain, "v")
    assert len(found) < 12 * len(chain)
    value = math.prod(1 + 0.5 / n for n in places)
    slope = value * sum(1 / (n + 0.5) for n in places)
    assert eval(found, {"v": 0.5}) == pytest.approx(slope, rel=1e-12)
    rows = context.sql(f"SELECT grad({chain}, v) AS g, grad(grad({chain[: chain.index('20.0') + 5]}, v), v) AS h FROM"
                       " (SELECT 0.5 AS v)")  # fmt: skip
    assert rows.to_pydict()["g"] == pytest.approx([slope], rel=1e-12)
    few = range(2, 21)
    bent = math.prod(1 + 0.5 / n for n in few) * (
        sum(1 / (n + 0.5) for n in few) ** 2 - sum(1 / (n + 0.5) ** 2 for n in few)
    )
    assert rows.to_pydict()["h"] == pytest.approx([bent], rel=1e-12)


def test_a_choice_among_300_has_a_sum_that_is_not_deep(context):
    few, chain = (f"greatest({', '.join(f'v * {n}' for n in range(count))})" for count in (120, 300))
    depth = bottom_up(parse(differentiate(few, "v")), lambda node, inner: 1 + max(inner, default=0))
    assert depth < 40  # written out, its text grows with the square
    rows = context.sql(f"SELECT grad({chain}, v) AS g FROM (SELECT 2.0 AS v UNION ALL SELECT -2.0) ORDER BY g")
    assert rows.to_pydict() == {"g": [0.0, 299.0]}


@pytest.mark.parametrize("count", [9, 400, 3000])
def test_a_power_written_out_has_that_of_a_power(count):
    found = differentiate(" * ".join(["v"] * count), "v")
    assert found.count("v") == count - 1
    assert found.startswith(f"{count}.0 * ")


def test_parts_of_a_chain_get_names_however_long_it_is():
    terms = [parse(f"sin(x * {i})") for i in range(700)]
    chain = reduce(lambda one, other: Call("+", (one, other)), terms)
    whole = Call("/", (Call("exp", (chain,)), Call("+", (chain, Literal(1.0)))))
    shared = share([whole], within=[True], name="v{}".format, safe=lambda node: True)
    assert [[name for name, _ in level] for level in shared.levels] == [["v1"]]
    assert shared.size < 1.1 * size(chain)


def test_calls_through_queries_are_found_without_comparing_the_links_of_a_chain(context, monkeypatch):
    same, compared = algebra._same, []
    monkeypatch.setattr(algebra, "_same", lambda one, other: compared.append(one) or same(one, other))
    error = "x - (" + " + ".join(f"{i} * y" for i in range(40)) + ")"
    query = f"SELECT {', '.join(f'avg(grad(power({error} - {i}, 2), y)) AS g{i}' for i in range(20))} FROM d"
    assert not may_compute_columns(parse_one(query).tree, context.tables)
    assert not list(selects(parse_one(query).tree, context.tables))
    assert len(compared) < 40

"""Chains of thousands of terms are derived and printed: no walk over an expression is recursive in their length."""

import pytest

from sqlmagic_xr import differentiate
from sqlmagic_xr.sql.expression import columns, parse, to_sql, unique
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

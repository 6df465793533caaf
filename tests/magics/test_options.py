"""Options end where SQL begins, and a wrong one is pointed at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from sqlmagic_xr.errors import UsageError
from sqlmagic_xr.magics.options import assignment, count, describe, identifier, option, options_of, parse


@dataclass(frozen=True)
class Some:
    limit: int | None = option("-l", "--limit", help="Show at most N rows.", convert=count, metavar="N")
    output: str | None = option("-o", "--output", help="Keep the result.", convert=identifier, metavar="NAME")
    kind: str = option("-t", "--type", help="Type.", convert=str, choices=("frame", "pandas"), default="frame")
    quiet: bool = option("-q", "--quiet", help="Say nothing.")
    params: tuple[tuple[str, object], ...] = option("-p", "--param", help="A value.", convert=assignment, many=True)


@pytest.mark.parametrize(
    ("line", "expected", "sql"),
    [
        ("", Some(), ""),
        ("SELECT -1", Some(), "SELECT -1"),
        ("-1", Some(), "-1"),
        ("-q SELECT a->'b', -l FROM t", Some(quiet=True), "SELECT a->'b', -l FROM t"),
        ("--limit 5   SELECT '  x'", Some(limit=5), "SELECT '  x'"),
        ("--limit=1,000 SELECT 1", Some(limit=1000), "SELECT 1"),
        ("-l5 SELECT 1", Some(limit=5), "SELECT 1"),
        ("-l 0", Some(limit=0), ""),
        ("-- a comment\nSELECT 1", Some(), "-- a comment\nSELECT 1"),
        ("->", Some(), "->"),
        ("(SELECT -q)", Some(), "(SELECT -q)"),
        ("-p a=1 -p b='x y' SELECT $a", Some(params=(("a", 1), ("b", "x y"))), "SELECT $a"),
        ('--param "name=it\'s" SELECT 1', Some(params=(("name", "it's"),)), "SELECT 1"),
        ("-t pandas -o out SELECT 1", Some(kind="pandas", output="out"), "SELECT 1"),
        ("-p e=a=b", Some(params=(("e", "a=b"),)), ""),
    ],
)
def test_options_are_read_up_to_the_first_word_of_sql(line, expected, sql):
    found = parse(Some, line)
    assert found.options == expected
    assert line[found.start :] == sql


@pytest.mark.parametrize(
    ("line", "message", "caret", "hint"),
    [
        ("--limt 5", "there is no option --limt", "--limt", "Did you mean `--limit`?"),
        ("-z SELECT 1", "there is no option -z", "-z", "See all options with --help."),
        ("-q --limit x SELECT 1", "--limit cannot be 'x'", "x", "give a whole number, 0 or more."),
        ("-l -1 SELECT 1", "-l cannot be '-1'", "-1", "give a whole number, 0 or more."),
        ("--limit", "--limit needs a value", " ", "-l, --limit N: Show at most N rows."),
        ("--quiet=yes SELECT 1", "--quiet takes no value", "--quiet=yes", None),
        ("-t panda SELECT 1", "-t cannot be 'panda'", "panda", "Did you mean `pandas`?"),
        ("-o 2x SELECT 1", "-o cannot be '2x'", "2x", "give the name of a Python variable."),
        ("-p lr SELECT 1", "-p cannot be 'lr'", "lr", "write it as name=value."),
    ],
)
def test_a_wrong_option_is_pointed_at(line, message, caret, hint):
    with pytest.raises(UsageError) as caught:
        parse(Some, line)
    error = caught.value
    assert error.what == message
    assert error.hint == hint
    assert (line + " ")[error.span.column - 1 : error.span.end_column - 1] == caret


def test_every_option_is_described():
    text = describe(Some)
    for declared in options_of(Some):
        assert declared.shown in text
        assert declared.help in text
    assert all(len(line) <= 110 for line in text.splitlines())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1), ("a=-1.5e3", -1500.0), ("a=True", True), ("a=None", None), ("a=[1, 2]", [1, 2]), ("a='1'", "1"),
        ("a=ada", "ada"), ("a=", ""), ("$a=1", 1), (":a=1", 1), ("a=2013-01-01", "2013-01-01"),
        ("a=__import__('os')", "__import__('os')"),
    ],
)  # fmt: skip
def test_values_are_literals_or_text_and_never_code(text, value):
    assert assignment(text) == ("a", value)


@dataclass(frozen=True)
class Training:
    params: tuple = option("-p", "--param", help="A parameter.", convert=assignment, many=True)
    steps: int = option("--steps", help="Steps.", convert=count)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("--lr 0.3 SELECT 1", "Did you mean `--param lr=0.3`?"),
        ("--lr=1e-3", "Did you mean `--param lr=1e-3`?"),
        ("--weight-decay .5", "Did you mean `--param weight_decay=.5`?"),
        ("--step 3", "Did you mean `--steps`?"),
        ("--momentum SELECT 1", "See all options with --help."),
    ],
)
def test_an_option_that_is_a_parameter_is_told(line, hint):
    with pytest.raises(UsageError, match="there is no option") as raised:
        parse(Training, line)
    assert raised.value.hint == hint


def test_a_variable_is_the_value_of_an_option():
    assert parse(Training, "--steps 2e3").options.steps == 2000
    known = {"n": np.int64(40), "rate": 0.25, "name": "ada", "ds": [1], "np": np}
    found = parse(Training, "--steps $n -p lr=$rate -p who=$name SELECT $n", known)
    assert found.options == Training(params=(("lr", 0.25), ("who", "ada")), steps=40)
    with pytest.raises(UsageError, match="there is no variable steps") as raised:
        parse(Training, "--steps $steps", known)
    assert raised.value.hint == "There are: n, name, rate"
    with pytest.raises(UsageError, match="--steps cannot be"):
        parse(Training, "--steps $rate", known)

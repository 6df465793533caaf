"""What the engine refuses is said in one line, and pointed at in the user's own text."""

from __future__ import annotations

import subprocess
import sys

import datafusion
import pandas as pd
import pytest

from sqlmagic_xr import Context, errors
from sqlmagic_xr.engine.failures import translate
from sqlmagic_xr.engine.findings import KnownNames
from sqlmagic_xr.engine.inventory import tables
from sqlmagic_xr.engine.meant import SAID
from sqlmagic_xr.engine.messages import core
from sqlmagic_xr.sql.syntax import Tree, parse_one, split, to_sql


class Tables:
    def known(self, functions, read):
        return KnownNames(["params", "d"], functions)


@pytest.fixture(scope="module")
def session():
    session = datafusion.SessionContext()
    columns = {"step": [0], "a": [1.0], "b": [2.0], "s": ["x"], "ts": [1], "Upper": [1]}
    session.from_pydict(columns, name="params")
    session.from_pydict({"x": [0], "y": [1.0], "a": [1]}, name="d")
    return session


def failure(session, query: str, script: str | None = None) -> errors.SqlError:
    """The error of a query that is the last statement of a script."""
    with pytest.raises(Exception, match=r"\w") as caught:  # DataFusion raises ValueError or a bare Exception
        session.sql(query).collect()
    statement = split(script)[-1] if script else parse_one(query)

    def plan(tree: Tree) -> object:
        return session.sql(to_sql(tree)).execution_plan()

    return translate(caught.value, statement, Tables(), functions=["sum", "sin", "power"], plan=plan)


def pointed_at(error: errors.SqlError) -> str:
    line = error.text.splitlines()[error.span.line - 1]
    assert error.span.end_line == error.span.line
    return line[error.span.column - 1 : error.span.end_column - 1]


NAMES, TYPES, RUNNING = errors.UnknownNameError, errors.TypeMismatchError, errors.ExecutionError

# (query, class, what it says, the word pointed at, what to do)
CASES = [
    ("SELECT zzz FROM params", NAMES, "there is no column zzz", "zzz", "There are: \"Upper\", a, b, s, step, ts"),
    ("SELECT p.stp FROM params p", NAMES, "there is no column p.stp", "p.stp", "Did you mean `step`?"),
    ("SELECT q.a FROM params p", NAMES, "there is no column q.a", "q.a", "q is not in FROM. There are: p"),
    ("SELECT Upper FROM params", NAMES, "there is no column upper", "Upper",
     'Names with capitals are written in double quotes: "Upper".'),
    ("SELECT a AS zzz FROM params WHERE zzz > 1", NAMES, "there is no column zzz", "zzz",
     "There are: \"Upper\", a, b, s, step, ts"),
    ("SELECT a FROM params ORDER BY stepp", NAMES, "there is no column stepp", "stepp", "Did you mean `step`?"),
    ("SELECT * EXCLUDE (zz) FROM params", NAMES, "there is no column zz", "zz",
     "There are: \"Upper\", a, b, s, step, ts"),
    ("SELECT * FROM params JOIN d USING (zz)", NAMES, "there is no column zz", "zz",
     "There are: \"Upper\", a, b, s, step, ts"),
    ("SELECT * FROM parms", NAMES, "there is no table parms", "parms", "Did you mean `params`?"),
    ("SELECT * FROM era5.surface", NAMES, "there is no table era5.surface", "era5.surface", "There are: d, params"),
    ("DESCRIBE zzz", NAMES, "there is no table zzz", "zzz", "There are: d, params"),
    ("SELECT a FROM params, d", NAMES, "a is in more than one table", "a",
     "Write which one: its table's name or alias and a dot before it (t.a)."),
    ("SELECT 1 FROM params p JOIN d USING (a) WHERE a > 1", NAMES, "a is in more than one table", "a",
     "Write which one: its table's name or alias and a dot before it (t.a)."),
    ("SELECT b FROM params JOIN (SELECT 1 AS a) USING (a)", NAMES, "two columns are named a", "a",
     "Give one of them another name (... AS name), or the query in FROM that it comes from: (SELECT ...) AS q."),
    ("SELECT a, b AS a FROM params", NAMES, "two columns are named a", "a",
     "Give one of them another name (... AS name), or the query in FROM that it comes from: (SELECT ...) AS q."),
    ("SELECT a AS c, b AS c FROM params", NAMES, "two columns are named c", "c",
     "Give one of them another name: ... AS name."),
    ("SELECT TRY_CAST(a AS INT), a FROM params", NAMES, "two columns are named a", "a",
     "Give one of them another name: ... AS name."),
    ("SELECT * FROM params, f.csv", NAMES, "there is no table f.csv", "f.csv",
     "A file stands in quotes: FROM 'f.csv'."),
    ("SELECT * FROM (SELECT 1 AS c, 2 AS c) AS q", NAMES, "two columns are named c", "c",
     "Give one of them another name: ... AS name."),
    ("SELECT sume(a) FROM params", NAMES, "there is no function sume", "sume", "Did you mean `sum`?"),
    ("SELECT * FROM gen(1)", NAMES, "there is no function gen", "gen",
     "See the functions there are with SHOW FUNCTIONS."),
    ("SELECT lag(a) FROM params", NAMES, "lag is a window function", "lag", "Write lag(...) OVER (ORDER BY ...)."),
    ("SELECT x.* FROM params", NAMES, "x is not in FROM", "x", None),
    ("SELECT sum(a) OVER w FROM params", NAMES, "there is no WINDOW w", "w", None),
    ("SELECT a::foo FROM params", NAMES, "there is no type foo", "foo", None),
    ("SET foo = 1", NAMES, "there is no setting foo", "foo", None),
    ("SELECT sin(s) FROM params", TYPES, "sin does not take (VARCHAR)", "sin",
     "It takes sin(DOUBLE/FLOAT): write sin(TRY_CAST(x AS DOUBLE)), which is NULL where a text is no number."),
    ("SELECT sin(a, b) FROM params", TYPES, "sin does not take (DOUBLE, DOUBLE)", "sin", "It takes sin(DOUBLE/FLOAT)."),
    ("SELECT sum(DISTINCT a, b) FROM params", TYPES, "sum does not take (DOUBLE, DOUBLE)", "sum",
     "It takes 1 argument."),
    ("SELECT a + b, a + s FROM params", TYPES, "+ does not go with DOUBLE and VARCHAR", "a + s",
     "Convert one side with CAST(... AS type)."),
    ("SELECT a AND b FROM params", TYPES, "AND does not go with DOUBLE and DOUBLE", "a AND b",
     "Convert one side with CAST(... AS type)."),
    ("SELECT s LIKE 'x', s LIKE 1 FROM params", TYPES, "LIKE does not go with VARCHAR and BIGINT", "s LIKE 1",
     "Convert one side with CAST(... AS type)."),
    ("SELECT -s FROM params", TYPES, "only numbers and intervals can be negated", "s", None),
    ("SELECT a FROM params WHERE a", TYPES, "a condition must be true or false, and this is DOUBLE", "a",
     "Compare it with something."),
    ("SELECT step, a, SUM(b) FROM params GROUP BY step", TYPES, "a is neither in GROUP BY nor inside an aggregate", "a",
     "Add a to GROUP BY, or write an aggregate of it, such as AVG(a)."),
    ("SELECT a FROM params WHERE SUM(a) > 1", TYPES, "WHERE cannot hold an aggregate", "SUM",
     "Conditions on aggregates belong into HAVING, behind GROUP BY."),
    ("SELECT a FROM params WHERE a = (SELECT a, b FROM params)", TYPES,
     "a subquery used as a value must have one column, and this has: params.a, params.b", "SELECT a, b FROM params",
     None),
    ("SELECT SUM(AVG(a)) FROM params", errors.UnsupportedError, "an aggregate cannot stand here", "SUM",
     "Compute the inner one in a subquery or a WITH."),
    ("SELECT CAST('abc' AS INT)", RUNNING, "'abc' is not a value of type INT", "'abc'",
     "TRY_CAST(... AS type) gives NULL instead of an error."),
    ("SELECT 1/0", RUNNING, "division by zero", "1/0", "NULLIF(divisor, 0) gives NULL instead."),
    ("SELECT 2/1, 1/0", RUNNING, "division by zero", "SELECT", "NULLIF(divisor, 0) gives NULL instead."),
    ("SELECT a FROM params LIMIT -1", RUNNING, "LIMIT must be >= 0, '-1' was provided", "1", None),
    ("SELECT regexp_match('a', '(')", RUNNING, "the regular expression cannot be read: unclosed group", "regexp_match",
     None),
]  # fmt: skip


@pytest.mark.parametrize(("query", "kind", "what", "word", "hint"), CASES, ids=[c[0] for c in CASES])
def test_a_refused_query_is_explained_and_pointed_at(session, query, kind, what, word, hint):
    error = failure(session, query)
    assert type(error) is kind
    assert (error.what, pointed_at(error), error.hint) == (what, word, hint)
    assert error.__cause__ is not None


def test_the_faulty_one_of_several_places_is_found(session):
    query = "WITH t AS (SELECT b AS c FROM params)\nSELECT t.c, (SELECT max(y) FROM d),\n  b FROM t"
    error = failure(session, query)
    assert error.what == "there is no column b"
    assert (error.span.line, error.span.column) == (3, 3)


def test_of_several_faults_alike_one_is_pointed_at(session):
    assert pointed_at(failure(session, "SELECT zzz, zzz + 1, zzz FROM params")) == "zzz"


def test_it_points_into_the_whole_cell(session):
    query = "SELECT a,\n  zzz FROM params"
    error = failure(session, query, f"SELECT 1; -- ünïcode\n{query}")
    assert str(error).splitlines() == [
        "statement 2 of 2: there is no column zzz",
        "line 3:   zzz FROM params",
        "          ^^^",
        'There are: "Upper", a, b, s, step, ts',
    ]


def test_without_a_plan_the_first_place_that_fits_is_pointed_at():
    error = ValueError("Schema error: No field named zzz. Valid fields are params.a.")
    translated = translate(error, parse_one("INSERT INTO params SELECT 1, zzz FROM d"))
    assert pointed_at(translated) == "zzz"


def test_what_no_rule_knows_keeps_its_first_line_and_points_at_the_statement():
    error = RuntimeError("DataFusion error: Execution error: Something odd: it broke\n  at thread 3")
    translated = translate(error, parse_one("  INSERT INTO params VALUES (1)"))
    assert translated.what == "something odd: it broke"
    assert pointed_at(translated) == "INSERT"


def test_our_own_errors_keep_what_they_say():
    own = errors.ConstraintError("params.a may not be NULL")
    translated = translate(own, parse_one("INSERT INTO params VALUES (1)"))
    assert translated is own
    assert translated.text == "INSERT INTO params VALUES (1)"


@pytest.mark.parametrize(
    ("message", "inner"),
    [
        ("Error during planning: Invalid function 'foo'.\nTry", "Invalid function 'foo'.\nTry"),
        ("DataFusion error: Arrow error: Divide by zero error", "Divide by zero error"),
        ("DataFusion error: Optimizer rule 'a_b' failed\ncaused by\nError during planning: LIMIT", "LIMIT"),
        ("DataFusion error: Arrow error: Cast error: Cannot cast", "Cannot cast"),
    ],
)  # fmt: skip
def test_layers_are_taken_off(message, inner):
    assert core(message) == inner


_ABORTS = """
from sqlmagic_xr import Context, errors
context = Context()
context.script("CREATE TABLE t (a VARCHAR)")
for query, error in [
    ("SELECT 'a\\0b'", errors.ParseError),
    ('SELECT 1 AS "a\\0b"', errors.ParseError), ("SELECT 1 -- \\0", errors.ParseError),
    ("INSERT INTO t VALUES ('\\0')", errors.ParseError), ("EXPLAIN SELECT '\\0'", errors.ParseError),
    ("SELECT named_struct(:p, 1) AS k", errors.UnsupportedError),
]:
    for run in (context.sql, context.script):
        try:
            run(query, {"p": "a\\0"})
        except error:
            continue
        raise AssertionError(query)
context.script("INSERT INTO t VALUES (:p)", {"p": "a\\0b"})
(found,) = context.script("SELECT :p || a, a FROM t WHERE a = :p AND a <> chr(0)", {"p": "a\\0b"})
print(found.to_arrow_table().column(0).to_pylist() == ["a\\0ba\\0b"], found.columns == [":p || a", "a"])
"""


def test_the_character_0_never_ends_the_process():
    done = subprocess.run([sys.executable, "-c", _ABORTS], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("True True\n", 0), done.stderr


@pytest.mark.parametrize("control", ["\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "\u202e", "\r", "\x08"])
def test_control_characters_of_data_are_shown_as_escapes(control):
    context = Context()
    context.script(f'CREATE TABLE t (a BIGINT, "b{control}" BIGINT PRIMARY KEY); INSERT INTO t VALUES (1, 1)')
    for script in (
        "INSERT INTO t VALUES (:p, 2)",
        "SELECT CAST(:p AS BIGINT) FROM t",
        "INSERT INTO t VALUES (2, 1)",
        f"SELECT zz{control} FROM t",
        f"SELECT '{control}', nothing FROM t",
        f"SELECT 1 AS a, 2 AS \"{control}\" FROM t WHERE 'x{control}' > a",
    ):
        with pytest.raises(errors.SqlError) as caught:
            context.script(script, {"p": f"x{control}y"})[0].to_arrow_table()
        text = str(caught.value)
        assert all(c.isprintable() for c in text.replace("\n", "")), repr(text)
        line, carets = text.split("\n")[1:3]
        assert len(carets) <= len(line) + 1


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT zz FROM t", "there is no column zz"),
        ("SELECT foo(1)", "there is no function foo"),
        ("SELECT 1 / 0", "division by zero"),
        ("SHOW datafusion.execution.batch_size", "SHOW reads information_schema, which is switched off"),
        ("SELECT * FROM information_schema.tables", "information_schema is switched off"),
    ],
)
def test_errors_say_what_is_wrong_without_information_schema_too(query, says):
    context = Context(datafusion.SessionConfig().with_information_schema(False))
    context.script("CREATE TABLE t (a BIGINT)")
    with pytest.raises(errors.SqlError, match=says):
        context.script(query)[0].to_arrow_table()


def test_a_timestamp_out_of_range_is_named():
    context = Context()
    context.script("CREATE TABLE t (s TIMESTAMP)")
    for value in ("'9999-01-01'", "DATE '9999-01-01'", "arrow_cast('9999-01-01', 'Timestamp(Second, None)')"):
        with pytest.raises(errors.TypeMismatchError, match=r"`t\.s` is TIMESTAMP and cannot hold '9999-01-01"):
            context.script(f"INSERT INTO t SELECT {value}")


@pytest.mark.parametrize(
    "text", ["(" * 50, "(\n" * 50, "SELECT " + "(" * 400, "SELECT " + "(" * 400 + "1" + ")" * 400, "1", "'a'", "((1"]
)
def test_what_is_no_statement_is_a_short_parser_error(text):
    for run in (Context().sql, Context().script):
        with pytest.raises(errors.ParseError) as caught:
            run(text)
        assert len(str(caught.value).split("\n")) <= 4


OF = (
    "(SELECT now() AS t, now() AS u, 1.0 AS x, 2.0 AS y, '2024-05-06' AS s UNION ALL "
    "SELECT now(), now(), 2.0, 1.0, '2024-05-07')"
)


FOREIGN = Context()


@pytest.mark.parametrize("name", sorted(SAID))
def test_a_function_of_another_engine_is_told_in_words_that_run(name):
    context = FOREIGN
    assert name not in context.functions, "the engine has learnt it"
    with pytest.raises(NAMES, match=f"there is no function {name}") as raised:
        context.script(f'SELECT "{name}"(s) FROM {OF}')
    assert raised.value.hint.startswith(f"Write {SAID[name]}.")
    if "->" not in SAID[name]:
        context.script(f"SELECT {SAID[name]} FROM {OF}")[0].to_arrow_table()


def test_a_table_that_is_not_there_is_explained():
    frame = pd.DataFrame({"a": [1]})
    context = Context(namespace=lambda: {"measurements": frame, "other": frame, "count": 3})
    with pytest.raises(NAMES, match="no table w") as raised:
        context.script("SELECT * FROM w")
    assert raised.value.hint.startswith("There are: measurements, other. Scratch tables live in memory, and a restart")
    with pytest.raises(NAMES) as raised:
        context.script("SELECT * FROM measurement")
    assert raised.value.hint == "Did you mean `measurements`?"
    for change in ("INSERT INTO w VALUES (1)", "DELETE FROM w"):
        with pytest.raises(NAMES, match="no scratch table `w`") as raised:
            context.script(change)
        assert raised.value.hint.startswith("Scratch tables live in memory")
    with pytest.raises(NAMES, match="`w` is no scratch table") as raised:
        context.train("MINIMIZE (SELECT AVG(a * v) FROM other CROSS JOIN w) OVER w USING sgd(lr => 0.1)", steps=1)
    assert raised.value.hint.startswith("Scratch tables live in memory")
    context.script("CREATE TABLE t AS SELECT 1 AS a")
    with pytest.raises(NAMES) as raised:
        context.script("SELECT * FROM w")
    assert raised.value.hint == "There are: measurements, other, t"
    with pytest.raises(NAMES) as raised:
        Context(store=None).script("SELECT * FROM w")
    assert raised.value.hint.startswith('There are no tables yet: ctx.from_dataset("ds", ds)')
    assert "kernel" not in raised.value.hint, "a script has none"
    with pytest.raises(NAMES) as raised:
        Context(namespace=dict).script("SELECT * FROM w")
    assert raised.value.hint.startswith(
        "There are no tables yet: assign an xarray Dataset or a data frame to a variable. S"
    )


def test_a_column_is_not_taken_for_one_that_shares_letters_with_its_table():
    frame = pd.DataFrame({"air": [1], "time": [2]})
    context = Context(namespace=lambda: {"air": frame})
    for column, hint in (("aire", "Did you mean `air`?"), ("tme", "Did you mean `time`?")):
        with pytest.raises(NAMES) as raised:
            context.script(f"SELECT AVG({column}) FROM air")
        assert raised.value.hint == hint


def test_a_view_whose_table_is_gone_is_named():
    space = {"df": pd.DataFrame({"a": [1]})}
    context = Context(namespace=lambda: space)
    context.script("CREATE VIEW v AS SELECT a FROM df; CREATE VIEW w AS SELECT a FROM v")
    del space["df"]
    with pytest.raises(NAMES, match="there is no table df, which the view v reads"):
        context.script("SELECT * FROM w")


def test_a_scratch_table_says_which_variable_it_hides():
    context = Context(namespace=lambda: {"df": pd.DataFrame({"a": [1]}), "n": 3})
    with pytest.raises(errors.UsageError, match="`df` is the variable that the query reads") as raised:
        context.script("CREATE TABLE df AS SELECT a + 1 AS a FROM df")
    assert raised.value.hint == "Give the table another name: df_scratch."
    made = context.script("CREATE TABLE df AS SELECT 2 AS a; CREATE TABLE n (a INT)")
    assert made[0].message == "df: table created, 1 row inserted; it hides the DataFrame variable `df`"
    assert made[1].message == "n: table created"
    assert tables(context)["kind"].to_pylist() == ["scratch, hides the DataFrame variable", "scratch"]


@pytest.mark.parametrize(
    ("query", "word", "hint"),
    [
        ("ATTACH 'x.duckdb'", "", "%xsql --open FILE.duckdb"),
        ("INSTALL httpfs", "INSTALL", "Nothing is to be installed"),
        ("PRAGMA table_info('t')", "PRAGMA", "DESCRIBE t lists"),
        ("SHOW DATABASES", "SHOW", "SHOW TABLES lists"),
        ("INSERT INTO t BY NAME SELECT 1 AS a", "BY", "Name the columns: INSERT INTO t (b, a)"),
        ("INSERT OR REPLACE INTO t VALUES (1, 2)", "INSERT", "ON CONFLICT (key) DO UPDATE"),
        ("INSERT OR IGNORE INTO t VALUES (1, 2)", "INSERT", "ON CONFLICT DO NOTHING"),
        ("SELECT a FROM t WHERE a > {{ low }}", "{", "A variable of the notebook is written $low or :low"),
        ("SELECT TOP 5 * FROM t", "SELECT", "LIMIT 5"),
        ("SELECT a // 2 FROM t", "a", "floor(x / y)"),
        ("SELECT a::INT, 2 ** 3 FROM t", "**", "power(x, 2)"),
        ("SELECT len(b) FROM t", "len", "Of a list: array_length(a)"),
        ("SELECT AVG(b) FROM t", "AVG", "write avg(TRY_CAST(x AS DOUBLE))"),
        ("SELECT CASE WHEN date_part('day', a) IN (1, 2) THEN 1 END AS s FROM t GROUP BY s", "date_part", "Timestamp"),
        ("SELECT Customer ID FROM odd", "Customer", 'Did you mean "Customer ID"?'),
        ("SELECT odd.years FROM odd", "odd", 'Did you mean "Age (years)"?'),
        ("SELECT * FROM odd WHERE visits > 1", "visits", 'Did you mean "# visits"?'),
        ("SELECT [Customer ID] FROM odd", "ID", 'stands in double quotes: "Customer ID"'),
        ("SELECT a FROM t # all", "#", "A comment begins with --"),
        ("SELECT * FROM {odd}", "{", "written $odd or :odd"),
        ("SELECT a FROM t WHERE a = %s", "%", "written $name or :name"),
        ("SELECT a FROM t WHERE a = ?", "?", "A parameter has a name"),
        ("SELECT @x := 1", "@x", "written :x or $x"),
        ("DECLARE @x INT = 1", "", "assigned in Python"),
        ("CREATE INDEX i ON t (a)", "CREATE", "PRIMARY KEY and UNIQUE"),
        ("COPY t FROM 'f.csv'", "COPY", "INSERT INTO t SELECT * FROM 'f.csv'"),
        ("COPY t TO 'f.xlsx'", "COPY", "to_excel"),
        ("SELECT to_date('01/02/2020', 'DD/MM/YYYY')", "'DD/MM", "'%d/%m/%Y"),
        ("INSERT INTO t VALUES (1)", "INSERT", ""),
        ("SELECT other FROM odd", "other", 'There are: "# visits", "Age (years)", "Customer ID", id'),
    ],
)  # fmt: skip
def test_what_people_bring_from_elsewhere_is_told_how_it_is_said(query, word, hint):
    odd = pd.DataFrame({"Customer ID": [1], "Age (years)": [2], "# visits": [3], "id": [4]})
    context = Context(namespace=lambda: {"odd": odd})
    context.script("CREATE TABLE t (a BIGINT PRIMARY KEY, b VARCHAR)")
    with pytest.raises(errors.SqlError) as raised:
        context.script(query)[0].to_pandas()
    assert hint in (raised.value.hint or "")
    assert pointed_at(raised.value).startswith(word)

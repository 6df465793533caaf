"""Random queries: what is known of a bound query is so when DataFusion runs it."""

import random
import re
from collections import Counter

import pyarrow as pa
import pytest
from datafusion import SessionConfig, SessionContext

from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.relation import facts
from sqlmagic_xr.relation.bind import bind
from sqlmagic_xr.relation.catalog import Table
from sqlmagic_xr.relation.change import exchanged
from sqlmagic_xr.relation.inline import inlined
from sqlmagic_xr.relation.nodes import Opaque, Scan
from sqlmagic_xr.relation.scope import Unsure
from sqlmagic_xr.relation.write import written
from sqlmagic_xr.sql.syntax import parse_one, to_sql
from tests.dealt import MANY

SEEDS, QUERIES = 18, 60
VIEWS = {
    "v": "SELECT k, SUM(x) AS x, COUNT(*) AS n FROM t GROUP BY k",
    "w": "SELECT i AS k, y AS x FROM u WHERE i > 0",
    "one": "SELECT MAX(k) AS k, AVG(x) AS x FROM t",
}


def tables(rng, rows=0):
    """t(k, i, x, n): key (k, i); u(i, y): key i; s(k, x, b, Name): none, with NULLs and rows of equal values.

    Of t there may be many rows, in any order.
    """
    pairs = [(k, i) for k in range(3) for i in range(3) if rng.random() < 0.8]
    if rows:
        pairs = rng.sample([divmod(n, 100) for n in range(rows)], rows)
    maybe = lambda value: None if rng.random() < 0.25 else value  # noqa: E731
    size = rng.randrange(0, 7)
    real = lambda: rng.choice([0.0, 1.0, -2.5, 3.0])  # noqa: E731
    return {
        "t": pa.table({
            "k": pa.array([k for k, _ in pairs], pa.int64()), "i": pa.array([i for _, i in pairs], pa.int64()),
            "x": pa.array([maybe(real()) for _ in pairs], pa.float64()),
            "n": pa.array([maybe(rng.randrange(3)) for _ in pairs], pa.int32()),
        }),
        "u": pa.table({
            "i": pa.array(range(4), pa.int64()), "y": pa.array([maybe(real()) for _ in range(4)], pa.float64()),
        }),
        "s": pa.table({
            "k": pa.array([maybe(rng.randrange(3)) for _ in range(size)], pa.int64()),
            "x": pa.array([maybe(real()) for _ in range(size)], pa.float64()),
            "b": pa.array([maybe(rng.random() < 0.5) for _ in range(size)], pa.bool_()),
            "Name": pa.array([maybe(rng.choice(["a", "b"])) for _ in range(size)], pa.string()),
        }),
    }  # fmt: skip


KEYS = {"t": ("k", "i"), "u": ("i",), "s": ()}


class Tables:
    """A catalog of the tables and views."""

    def __init__(self, found, engine):
        self._found, self._engine = found, engine

    def table(self, name):
        if name[-1] in VIEWS and len(name) == 1:
            schema = self._engine.table(name[0]).schema()
            return Table(name, {f.name: str(f.type) for f in schema}, definition=parse_one(VIEWS[name[0]]).tree)
        if len(name) > 1 or name[0] not in self._found:
            return None
        columns = {f.name: str(f.type) for f in self._found[name[0]].schema}
        return Table(name, columns, KEYS[name[0]], frozenset(KEYS[name[0]]))

    def names(self):
        return [*self._found, *VIEWS]


COLUMNS = {"t": ["k", "i", "x", "n"], "u": ["i", "y"], "s": ["k", "x", "b", '"Name"'], "v": ["k", "x", "n"],
           "w": ["k", "x"], "one": ["k", "x"]}  # fmt: skip


class Writer:
    """Writes random queries; some of them are wrong."""

    def __init__(self, rng):
        self.rng, self.count = rng, 0

    def pick(self, *options):
        return self.rng.choice(options)

    def new(self, prefix="q"):
        self.count += 1
        return f"{prefix}{self.count}"

    def query(self, depth=2, ctes=None):
        """A query's text, and the names of its columns."""
        known = dict(ctes or {})
        with_ = ""
        if depth == 2 and self.rng.random() < 0.3:
            name = self.new("c")
            text, names = self.select(1, known)
            renamed = [self.new("r") for _ in names] if self.rng.random() < 0.3 else names
            known[name] = renamed
            with_ = f"WITH {name}{'(' + ', '.join(renamed) + ')' if renamed is not names else ''} AS ({text}) "
        text, names = self.select(depth, known)
        if self.rng.random() < 0.15 and len(names) < 4:
            other, more = self.select(1, known)
            if len(more) == len(names):
                text += f" {self.pick('UNION ALL', 'UNION', 'INTERSECT', 'EXCEPT')} {other}"
                return with_ + text, names
        if self.rng.random() < 0.3:
            text += f" ORDER BY {self.pick('1', names[0], names[-1] + ' DESC', names[0] + ' NULLS FIRST')}"
            text += self.pick("", " LIMIT 1", " LIMIT 2", " LIMIT 3 OFFSET 1")
        return with_ + text, names

    def item(self, depth, ctes):
        """A relation in FROM: its text, its name, its columns."""
        if depth > 0 and self.rng.random() < 0.3:
            text, names = self.query(depth - 1, ctes)
            alias = self.new()
            if self.rng.random() < 0.2:
                names = [self.new("r") for _ in names]
                return f"({text}) AS {alias}({', '.join(names)})", alias, names
            return f"({text}) AS {alias}", alias, names
        name = self.pick(*COLUMNS, *ctes)
        columns = ctes.get(name) or COLUMNS[name]
        spelled = name if name in ctes else self.pick(name, name.upper(), f"public.{name}", f"datafusion.public.{name}")
        if self.rng.random() < 0.6:
            alias = self.new()
            return f"{spelled} {self.pick('AS ', '')}{alias}", alias, columns
        return spelled, name, columns

    def source(self, depth, ctes):
        text, alias, names = self.item(depth, ctes)
        columns = [f"{alias}.{c}" for c in names] + list(names)
        for _ in range(self.pick(0, 0, 1, 1, 2)):
            more, other, theirs = self.item(depth, ctes)
            if other == alias:
                continue
            common = [c for c in names if c in theirs]
            kind = self.pick("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", ",", "JOIN", "LEFT JOIN")
            if kind in (",", "CROSS JOIN"):
                text += f"{'' if kind == ',' else ' '}{kind} {more}"
            elif common and self.rng.random() < 0.4:
                text += f" {kind} {more} USING ({self.pick(*common)})"
            else:
                text += f" {kind} {more} ON {alias}.{self.pick(*names)} = {other}.{self.pick(*theirs)}"
            columns = [c for c in columns if c not in theirs] + [f"{other}.{c}" for c in theirs]
            columns += [c for c in theirs if c not in names]
        return text, columns

    def value(self, columns, depth, ctes):
        column = self.pick(*columns)
        return self.pick(
            column, column, "1", "2.5", "NULL", "'a'", f"{column} + 1", f"coalesce({column}, 0)", f"{column} IS NULL",
            f"CASE WHEN {column} > 0 THEN 1 ELSE 0 END", f"CAST({column} AS DOUBLE)", f"{column} = {columns[0]}",
            f"-{column} * 2", f"abs({column})", f"exp({column})", f"CASE WHEN {column} > 0 THEN {column} END",
            f"nullif({column}, 1)", f"{column} * 1.5", f"{column} / 2", f"{column} BETWEEN 0 AND 2",
            f"(SELECT MAX({self.pick('k', 'x')}) FROM s)", f"(SELECT COUNT(*) FROM u WHERE u.i = {column})",
        )  # fmt: skip

    def condition(self, columns, depth, ctes):
        column, other = self.pick(*columns), self.pick(*columns)
        return self.pick(
            f"{column} = 1", f"{column} = {other}", f"{column} IS NOT NULL", f"{column} > 0 AND {other} = 2",
            f"{column} IN (SELECT i FROM u)", f"EXISTS (SELECT 1 FROM u WHERE u.i = {column})", f"{column} IN (0, 1)",
            f"NOT ({column} = 1 OR {other} = 0)", f"{column} = (SELECT MAX(k) FROM t)",
        )  # fmt: skip

    def select(self, depth, ctes):
        source, columns = self.source(depth - 1, ctes)
        where = f" WHERE {self.condition(columns, depth, ctes)}" if self.rng.random() < 0.4 else ""
        kind = self.pick("plain", "plain", "grouped", "total", "window", "star", "distinct")
        if kind == "star":
            return f"SELECT * FROM {source}{where}", [c.split(".")[-1] for c in columns if "." in c]
        if kind in ("grouped", "total"):
            names, items, keys = [], [], []
            for _ in range(self.pick(1, 1, 2) if kind == "grouped" else 0):
                key, name = self.pick(self.pick(*columns), self.value(columns, depth, ctes)), self.new("k")
                items.append(f"{key} AS {name}")
                keys.append(self.pick(key, str(len(items)), name))
                names.append(name)
            for _ in range(self.pick(1, 2)):
                call, name = self.pick("SUM", "AVG", "MIN", "MAX", "COUNT", "var_pop", "stddev"), self.new("a")
                inside = "*" if call == "COUNT" and self.rng.random() < 0.4 else self.pick(*columns)
                items.append(f"{call}({inside}){self.pick('', '', ' + 1')} AS {name}")
                names.append(name)
            group = f" GROUP BY {', '.join(keys)}" if keys else ""
            having = (
                f" HAVING {self.pick('COUNT(*) > 1', 'MAX(' + self.pick(*columns) + ') > 0')}"
                if self.rng.random() < 0.2
                else ""
            )
            return f"SELECT {', '.join(items)} FROM {source}{where}{group}{having}", names
        items, names = [], []
        for _ in range(self.pick(1, 2, 3)):
            value = self.value(columns, depth, ctes)
            if kind == "window" and not items:
                value = self.pick(
                    f"ROW_NUMBER() OVER (ORDER BY {self.pick(*columns)})", f"SUM({self.pick(*columns)}) OVER ()",
                    f"lag({self.pick(*columns)}) OVER (PARTITION BY {columns[0]} ORDER BY {self.pick(*columns)})",
                )  # fmt: skip
            name = self.new("o")
            items.append(f"{value} AS {name}")
            names.append(name)
        return f"SELECT {'DISTINCT ' if kind == 'distinct' else ''}{', '.join(items)} FROM {source}{where}", names


def check(relation, rows, sql):
    """Compare what is known with what came out."""
    names, columns = relation.names, rows.columns
    assert len(names) == len(columns), sql
    assert all(mine is None or mine == theirs for mine, theirs in zip(names, rows.schema.names, strict=True)), sql
    for name, mine, theirs in zip(names, facts.types(relation), rows.schema.types, strict=True):
        assert mine is None or mine == str(theirs).replace("string_view", "string"), f"{name}: {mine}, {theirs}: {sql}"
    for name, nullable, column in zip(names, facts.nullable(relation), columns, strict=True):
        assert nullable or column.null_count == 0, f"{name} is NULL: {sql}"
    for name in facts.constants(relation):
        assert len(set(columns[names.index(name)].to_pylist())) <= 1, f"{name} is not constant: {sql}"
    key = facts.key(relation)
    if key is not None:
        found = list(zip(*(columns[names.index(k)].to_pylist() for k in key), strict=True)) if key else [()] * len(rows)
        assert len(set(found)) == len(found), f"{key} is no key: {sql}"
    assert not facts.always_one_row(relation) or len(rows) == 1, sql


def anew(relation):
    """The query with other readings of the same tables, so that nothing of it is the user's text."""

    def exchange(node):
        return Scan(node.path, node.renamed, table=node.table, tree=node.tree) if isinstance(node, Scan) else None

    return exchanged(inlined(relation), exchange)


def plain(rows, digits=17):
    """The rows in no order; of sums over partitions the last digits are chance."""

    def said(value):
        return f"{value:.{digits}g}" if isinstance(value, float) else str(value)

    return sorted(zip(*(map(said, column.to_pylist()) for column in rows.columns), strict=True))


def queries(rng, count):
    """So many random queries."""
    return [Writer(rng).query()[0] for _ in range(count)]


BY_CHANCE = r"LIMIT|OVER \([^)]*ORDER BY"
"""What of equal rows takes any, where they come to several partitions."""


def linear(sql):
    """Whether a query reads the large table, but joins its rows neither with each other nor with their groups."""
    read = Counter(name.lower() for name in re.findall(r"(?<!AS )\b(t|v|one)\b(?!\.)", sql, re.IGNORECASE))
    return read.total() > 0 and (read["t"] + read["v"] < 2 or (read["t"], read["v"]) == (0, 2))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_is_known_of_a_bound_query_is_so(seed):
    rng = random.Random(seed)
    # One engine in five deals rows out by twos to four partitions.
    seen = known(tables(rng), queries(rng, QUERIES), 2 if seed % 5 == 0 else None)
    assert seen["bound"] > QUERIES // 2
    assert seen["key"] > QUERIES // 10
    assert seen["written anew"] > seen["bound"] * 0.9


def test_what_is_known_over_many_rows():
    rng = random.Random(100)
    seen = known(tables(rng, MANY), filter(linear, queries(rng, 100)), 64)
    assert seen["bound"] > 20
    assert seen["key"] > 8
    assert seen["written anew"] > seen["bound"] * 0.9


def known(found, texts, batch=None):
    """Hold queries over some tables against what is known of them; counts of what they were.

    Args:
        found: the tables.
        texts: the queries.
        batch: how many rows a batch holds that is dealt out to four partitions; None: there is one partition.
    """
    seen = Counter()
    engine = SessionContext(SessionConfig().with_target_partitions(4 if batch else 1).with_batch_size(batch or 8192))
    for name, table in found.items():
        batches = table.to_batches(batch) or [pa.RecordBatch.from_pylist([], table.schema)]
        engine.register_record_batches(name, [batches])
    for name, query in VIEWS.items():
        engine.sql(f"CREATE VIEW {name} AS {query}").collect()
    catalog = Tables(found, engine)
    for sql in texts:
        statement = parse_one(sql)
        try:
            relation = bind(statement.tree["Query"], catalog)
        except SqlError as error:
            relation = error
        try:
            rows = engine.sql(sql).to_arrow_table()
        except Exception:  # DataFusion's errors have no class of their own
            seen["refused by the engine"] += 1
            continue
        assert not isinstance(relation, SqlError), f"{relation}\n{sql}"
        if isinstance(relation, Opaque):
            seen[relation.why] += 1
            continue
        seen["bound"] += 1
        seen["key"] += facts.key(relation) is not None
        assert not relation.free
        check(relation, rows, sql)
        assert written(relation) is statement.tree["Query"]
        try:
            again = to_sql({"Query": written(anew(relation))})
        except Unsure as reason:
            seen[str(reason)] += 1
            continue
        try:
            theirs = engine.sql(again).to_arrow_table()
        except Exception as error:
            pytest.fail(f"{error}\n{sql}\n{again}")
        if not (batch and re.search(BY_CHANCE, sql)):
            digits = 12 if batch else 17
            assert plain(theirs, digits) == plain(rows, digits), f"{sql}\n{again}"
        seen["written anew"] += 1
    print(seen.most_common())
    return seen


def test_text_of_what_is_not_changed_is_the_users():
    text = "SELECT  a.X AS y , 1 FROM t AS a"
    tree = parse_one(text).tree
    assert to_sql({"Query": written(bind(tree["Query"], Tables(tables(random.Random(1)), None)))}) == to_sql(tree)

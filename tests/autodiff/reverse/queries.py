"""Random queries over the operators that gradients go through, as SQL with holes for the parameter's table.

``{w}`` is the table of parameters, w(i, j, a, b): PRIMARY KEY (i, j), some cells NULL, ``a`` and ``b`` real. ``d`` is
data: d(i, x, y, n), keyless, with duplicates, NULLs, ties and values of i that no parameter has.
"""

# ruff: noqa: E501 - queries
import random

FUNCTIONS = ("tanh({})", "exp(0.3 * {})", "sin({})", "power({}, 2)", "ln(2.5 + power({}, 2))", "sqrt(1 + {0} * {0})",
             "abs({} - 0.123)", "atan({})", "CASE WHEN {0} > 0.31 THEN 2.0 * {0} ELSE {0} * {0} END",
             "greatest({}, 0.17)", "least({}, 0.6, 0.9)", "coalesce({}, 0.25)")  # fmt: skip


class Maker:
    """Makes queries of random shape; equal seeds make equal queries.

    Args:
        seed: any number.
        newer: how often windows along an order, chosen rows, moments, GROUPING SETS and queries by the row are taken.
        simple: whether expressions have one function or operator, and relations one operator or two.
        grids: whether operators are left out that array code leaves to the engine.
    """

    def __init__(self, seed, newer=0.0, simple=False, grids=False):
        self.random, self.newer, self.simple, self.grids = random.Random(seed), newer, simple, grids
        self.ctes = []
        self.count = 0

    def pick(self, *options):
        return self.random.choice(options)

    def name(self):
        self.count += 1
        return f"q{self.count}"

    def scalar(self, columns, depth=2):
        """A smooth expression over some columns."""
        first = self.pick(*columns)
        depth = min(depth, 1) if self.simple else depth
        if depth == 0 or self.random.random() < 0.2:
            return first
        shape = self.random.random()
        if shape < 0.45:
            return self.pick(*FUNCTIONS).format(f"({self.scalar(columns, depth - 1)})")
        sign = self.pick("+", "-", "*", "*")
        return f"({self.scalar(columns, depth - 1)} {sign} {self.scalar(columns, depth - 1)})"

    def cte(self, text):
        name = self.name()
        self.ctes.append(f"{name} AS ({text})")
        return name

    def aggregate(self, expression, ties=False, filtered=False):
        name = self.pick("SUM", "AVG", "SUM", "AVG", *(("MIN", "MAX") if ties else ()))
        kept = self.pick("", "", "", "", " FILTER (WHERE i < 3)") if filtered else ""
        return f"{name}({expression}){kept}"

    # Each of these gives (name, key columns, value columns).

    def base(self):
        where = self.pick(
            "", "", " WHERE i > 0", " WHERE j < 2 AND i <> 1", " WHERE a > -0.4", " WHERE a < 0.9 OR i = 2"
        )
        if self.random.random() < 0.5:
            return f"(SELECT * FROM {{w}}{where})", ["i", "j"], ["a", "b"]
        return (
            self.cte(f"SELECT i, j, {self.scalar(['a', 'b'])} AS u, a AS v FROM {{w}}{where}"),
            ["i", "j"],
            ["u", "v"],
        )

    def grouped(self, source):
        name, key, values = source
        kept = [k for k in key if self.random.random() < 0.6]
        if not kept:
            kept = key[:1]
        alias = "s" if name.startswith("(") else name
        u, v = self.scalar(values), self.scalar(values, 1)
        where = self.pick("", "", f" WHERE {values[0]} < 1.1")
        having = self.pick("", "", "", " HAVING COUNT(*) > 1", f" HAVING SUM({values[-1]}) > -0.2")
        text = (f"SELECT {', '.join(kept)}, {self.aggregate(u, True, key == ['i', 'j'])} AS u, "
                f"{self.pick('', '0.5 * ')}{self.aggregate(v)} AS v, COUNT(*) AS n "
                f"FROM {name} {'AS s' if name.startswith('(') else ''}{where} GROUP BY {', '.join(kept)}{having}")  # fmt: skip
        del alias
        return self.cte(text), kept, ["u", "v"]

    def joined(self, left, right):
        (a, key_a, values_a), (b, key_b, values_b) = left, right
        common = [k for k in key_a if k in key_b]
        kind = self.pick("JOIN", "JOIN", "CROSS", "LEFT JOIN", *(() if self.grids else ("RIGHT JOIN", "FULL JOIN")))
        ons = [f"l.{k} = r.{k}" for k in common] or [f"l.{key_a[0]} <= r.{key_b[-1]}"]
        if self.random.random() < 0.2:
            ons = [f"l.{key_a[0]} <= r.{key_b[0]}"]
        columns = [f"l.{c}" for c in values_a] + [f"r.{c}" for c in values_b]
        on = f"CROSS JOIN {b} AS r" if kind == "CROSS" else f"{kind} {b} AS r ON {' AND '.join(ons)}"
        keys = [f"l.{k} AS l{k}" for k in key_a] + [f"r.{k} AS r{k}" for k in key_b]
        names = [f"l{k}" for k in key_a] + [f"r{k}" for k in key_b]
        text = (
            f"SELECT {', '.join(keys)}, {self.scalar(columns)} AS u, {self.scalar(columns, 1)} AS v FROM {a} AS l {on}"
        )
        whole = self.cte(text)
        return whole, names, ["u", "v"]

    def with_data(self, source):
        name, key, values = source
        columns = [*(f"s.{c}" for c in values), "d.x", "d.y"]
        on = self.pick(f"s.{key[0]} = d.i", f"s.{key[0]} < d.i", f"s.{key[0]} = d.i AND d.x > 0.2")
        keys = [f"s.{k}" for k in key]
        if self.grids or self.random.random() < 0.5:
            text = (f"SELECT {', '.join(keys)}, {self.aggregate(self.scalar(columns), True)} AS u, "
                    f"{self.aggregate(self.scalar(columns, 1))} AS v FROM {name} AS s JOIN d ON {on} "
                    f"GROUP BY {', '.join(keys)}")  # fmt: skip
            return self.cte(text), key, ["u", "v"]
        k = f"n{self.count}"
        values = f"{self.scalar(columns)} AS u, {self.scalar(columns, 1)} AS v"
        rows = self.cte(f"SELECT d.n AS {k}, {values} FROM {name} AS s JOIN d ON {on}")
        return self.cte(f"SELECT {k}, AVG(u) AS u, SUM(v) AS v FROM {rows} GROUP BY {k}"), [k], ["u", "v"]

    def windowed(self, source):
        name, key, values = source
        over = self.pick(f"PARTITION BY {key[0]}", "")
        text = (f"SELECT {', '.join(key)}, {values[0]} AS u, {self.scalar(values, 1)} AS v, "
                f"SUM({values[-1]}) OVER ({over}) AS t, {self.pick('MAX', 'AVG', 'MIN')}({values[0]}) OVER ({over}) AS m "
                f"FROM {name} AS s")  # fmt: skip
        return self.cte(text), key, ["u", "v", "t", "m"]

    def moving(self, source):
        """Windows along the order of a key, or along one in which rows tie."""
        name, key, values = source
        order = ", ".join(f"{k}{self.pick('', ' DESC')}" for k in self.random.sample(key, len(key)))
        frame = self.pick(
            "", " ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING", " ROWS 2 PRECEDING", " RANGE UNBOUNDED PRECEDING"
        )
        part = f"PARTITION BY {key[0]} " if len(key) > 1 and self.random.random() < 0.4 else ""
        over = f"({part}ORDER BY {order}{frame})"
        shift = (
            f"{self.pick('LAG', 'LEAD')}({values[-1]}{self.pick('', ', 2', ', 1, 0.5')}) OVER ({part}ORDER BY {order})"
        )
        edge = f"{self.pick('FIRST_VALUE', 'LAST_VALUE')}({values[0]}) OVER ({part}ORDER BY {order})"
        text = (f"SELECT {', '.join(key)}, {self.pick('SUM', 'AVG')}({self.scalar(values, 1)}) OVER {over} AS u, "
                f"{self.pick(shift, shift, edge)} AS v, {values[0]} AS x FROM {name} AS s")  # fmt: skip
        return self.cte(text), key, ["u", "v", "x"]

    def chosen(self, source):
        """Rows that an order chooses: LIMIT, DISTINCT ON, the number of a row."""
        name, key, values = source
        order = ", ".join([self.pick(f"{values[0]} DESC", key[-1]), *key])
        columns = f"{', '.join(key)}, {self.scalar(values)} AS u, {self.scalar(values, 1)} AS v"
        form = self.random.random()
        if form < 0.4:
            text = f"SELECT {columns} FROM {name} AS s ORDER BY {', '.join(key)} LIMIT {self.pick(3, 5)} OFFSET 1"
        elif form < 0.7:
            text = f"SELECT DISTINCT ON ({key[0]}) {columns} FROM {name} AS s ORDER BY {key[0]}, {', '.join(key[1:] or key)}"
        else:
            number = f"ROW_NUMBER() OVER (PARTITION BY {key[0]} ORDER BY {order})"
            inner = self.cte(f"SELECT {columns}, {number} AS place FROM {name} AS s")
            text = f"SELECT {', '.join(key)}, u, v FROM {inner} WHERE place < 3"
        return self.cte(text), key, ["u", "v"]

    def asked(self, source):
        """Queries inside expressions: of the row, or whether there is one."""
        name, key, values = source
        on = " AND ".join(f"t.{k} = s.{k}" for k in key[:1])
        inner = f"{self.pick('SUM', 'AVG', 'COUNT', 'MAX')}(t.{values[-1]})"
        where = self.pick(
            "", f" WHERE EXISTS (SELECT 1 FROM d WHERE d.i = s.{key[0]})",
            f" WHERE s.{key[0]} NOT IN (SELECT j + 2 FROM {{w}} WHERE a > 0)",
            f" WHERE NOT EXISTS (SELECT 1 FROM d WHERE d.i = s.{key[0]} AND d.x > 0.5)",
        )  # fmt: skip
        text = (f"SELECT {', '.join(key)}, {values[0]} * coalesce((SELECT {inner} FROM {name} AS t WHERE {on}), 0.5) AS u, "
                f"{self.scalar(values, 1)} AS v FROM {name} AS s{where}")  # fmt: skip
        return self.cte(text), key, ["u", "v"]

    def spread(self, source):
        """Variances and regressions, of groups and over partitions."""
        name, key, values = source
        one, two = self.scalar(values, 1), values[-1]
        # Of equal values a standard deviation has no derivative: no two rows are equal.
        apart = " + ".join(f"{0.01 + 0.003 * n} * {k}" for n, k in enumerate(key))
        moment = self.pick(f"VAR_POP({one})", f"STDDEV({one} + {apart})", f"COVAR_SAMP({one}, {two})",
                           f"REGR_SXY({one}, {two})", f"VAR_SAMP({one}) FILTER (WHERE {key[0]} > 0)")  # fmt: skip
        if self.random.random() < 0.5:
            text = f"SELECT {key[0]}, {moment} AS u, AVG({two}) AS v FROM {name} AS s GROUP BY {key[0]}"
            return self.cte(text), key[:1], ["u", "v"]
        text = f"SELECT {', '.join(key)}, {values[0]} AS v, {self.pick('VAR_POP', 'VAR_SAMP')}({one}) OVER () AS u FROM {name} AS s"
        return self.cte(text), key, ["u", "v"]

    def several(self, source):
        """GROUPING SETS, summed once more by key."""
        name, key, values = source
        sets = self.pick(f"ROLLUP ({', '.join(key)})", f"CUBE ({', '.join(key)})", f"GROUPING SETS (({key[0]}), ())")
        inner = self.cte(f"SELECT {key[0]} AS k, SUM({self.scalar(values, 1)}) AS u, AVG({values[0]}) AS v "
                         f"FROM {name} AS s GROUP BY {sets}")  # fmt: skip
        return self.cte(f"SELECT k, SUM(u * u) AS u, SUM(v) AS v FROM {inner} GROUP BY k"), ["k"], ["u", "v"]

    def united(self, first, second):
        (a, key_a, values_a), (b, key_b, values_b) = first, second
        parts = [f"SELECT {key[0]} AS k, {self.scalar(values)} AS u, {values[-1]} AS v FROM {name} AS s"
                 for name, key, values in ((a, key_a, values_a), (b, key_b, values_b))]  # fmt: skip
        whole = self.cte(" UNION ALL ".join(parts))
        return self.cte(f"SELECT k, SUM(u) AS u, AVG(v) AS v FROM {whole} GROUP BY k"), ["k"], ["u", "v"]

    def relation(self, depth):
        if depth == 0:
            return self.base()
        shape = self.random.random()
        inner = self.relation(depth - 1)
        if self.grids:
            return self.of_grids(inner)
        if self.random.random() < self.newer:
            return self.pick(self.moving, self.moving, self.chosen, self.asked, self.spread, self.several)(inner)
        if shape < 0.3:
            return self.grouped(inner)
        if shape < 0.5:
            return self.with_data(inner)
        if shape < 0.65:
            return self.windowed(inner)
        if shape < 0.75:
            return self.joined(inner, inner)
        if shape < 0.85:
            return self.united(inner, self.relation(depth - 1))
        return self.joined(inner, self.relation(depth - 1))

    def of_grids(self, inner):
        """A relation that array code may take."""
        made = self.pick(self.grouped, self.grouped, self.with_data, self.windowed, self.joined, self.spread)
        return made(inner, inner) if made == self.joined else made(inner)

    def loss(self):
        """(the CTEs of a loss of one row, its expression): ``WITH ... loss AS (...)``."""
        name, _, values = self.relation(self.pick(0, 1, 1, 2, 2, 3))
        u, v = self.scalar(values), self.scalar(values, 1)
        form = self.random.random()
        source = f"{name} AS s"
        one = f"(SELECT {self.aggregate(v)} FROM {name} AS t)"
        source += self.pick("", "", "", f" WHERE {values[0]} < 2 + coalesce({one}, 0)")
        u = self.pick(u, u, u, f"{u} * {one}")
        if form < 0.6:
            text = f"SELECT {self.aggregate(u)} AS l FROM {source}"
        elif form < 0.8:
            text = f"SELECT {self.aggregate(u)} + 0.3 * power({self.aggregate(v)}, 2) AS l FROM {source}"
        else:
            text = f"SELECT {self.aggregate(u, True)} * {self.aggregate(v)} - COUNT(*) AS l FROM {source}"
        self.ctes.append(f"loss AS ({text})")
        return "WITH " + ",\n".join(self.ctes)

    def losses(self, count):
        """(``WITH ... loss AS (...)``, the names of its columns): a query of one row and several losses."""
        name, _, values = self.relation(self.pick(0, 1, 1, 1, 2) if self.simple else self.pick(1, 1, 1, 2, 2))
        names = [f"l{n}" for n in range(count)]
        one = f"(SELECT {self.aggregate(self.scalar(values, 1))} FROM {name} AS t)"
        where = self.pick("", "", "", f" WHERE {values[0]} < 2 + coalesce({one}, 0)")
        found = {}
        while len(found) < count:  # each another one
            found.setdefault(self.shown(values, one), f"l{len(found)}")
        shown = ", ".join(f"{expression} AS {loss}" for expression, loss in found.items())
        self.ctes.append(f"loss AS (SELECT {shown} FROM {name} AS s{where})")
        return "WITH " + ",\n".join(self.ctes), names

    def shown(self, values, one):
        """One loss over some columns, and perhaps of a query of one row."""
        u, v = self.scalar(values), self.scalar(values, 1)
        u = self.pick(u, u, u, u, f"{u} * {one}")
        if self.simple and self.random.random() < 0.7:
            return self.aggregate(u, True)
        return self.pick(
            self.aggregate(u, True), self.aggregate(u), f"{self.aggregate(u)} * {self.aggregate(v)}",
            f"{self.aggregate(u)} + 0.3 * power({self.aggregate(v, True)}, 2) - COUNT({v})",
        )  # fmt: skip

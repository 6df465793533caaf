"""The loss of a MINIMIZE as a query of one column, or of one column behind the keys of PER."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import SqlError, TypeMismatchError, suggest
from ...grids.datasets import ReadDatasets
from ...relation.facts import always_one_row
from ...relation.nodes import Opaque, Relation, Scan, relations
from ...relation.reads import columns_read
from ...sql.lexer import TokenKind, tokens
from ...sql.syntax import Statement, Tree, identifier, name_of
from ...storage.transaction import View
from .batches import of_one_batch
from .evaluation import evaluated
from .query import SelectText, ctes_of, select_text
from .statement import Minimize
from .text import quoted

if TYPE_CHECKING:
    from ...engine.context import Context


@dataclass(frozen=True)
class Loss:
    """What is minimized.

    Attributes:
        query: its text; its columns have names.
        ctes: what stands behind WITH in front of it, or "".
        column: the name of its number.
        per: the names of its keys.
        select: the query taken apart, where it is one SELECT; the item that is the loss is at ``place``.
        whole: the same without the condition of BATCH.
        expression: the text of that item, without its name; "" where there is no ``select``.
        place: see ``select``.
        tree: the query's tree.
        bound: the same, bound.
        rows: its rows at the generation that the run begins with, the loss behind the keys.
        begun: whether these are what the first step will write down: not where BATCH leaves some of them out.
        taken: the names of relations that a name of ours must not be.
    """

    query: str
    ctes: str
    column: str
    per: tuple[str, ...]
    select: SelectText | None
    whole: SelectText | None
    expression: str
    place: int
    tree: Tree
    bound: Relation
    rows: pa.Table
    begun: bool
    taken: frozenset[str]

    def reads(self, table: str, column: str) -> bool:
        """Whether it may read a column of a table."""
        read = columns_read([self.bound])
        return read is None or column in read.get((table,), frozenset())

    def readings(self, table: str) -> int | None:
        """How often it reads a table; None where that is not known."""
        nodes = list(relations(self.bound))
        if any(isinstance(node, Opaque) for node in nodes):
            return None
        return sum(isinstance(node, Scan) and node.table.name == (table,) for node in nodes)

    def alias_of(self, table: str) -> str | None:
        """What a table is called in the query's own FROM; None where it does not stand there."""
        for item in _select_of(self.tree).get("from", ()):
            for factor in (item["relation"], *(join["relation"] for join in item["joins"])):
                found = factor.get("Table")
                if found is not None and found.get("args") is None and name_of(found["name"])[-1] == table:
                    alias = found.get("alias")
                    return quoted(identifier(alias["name"])) if alias else quoted(table)
        return None


def read_loss(
    context: Context, minimize: Minimize, step: str, values: Mapping[str, Any], datasets: ReadDatasets | None = None
) -> Loss:  # fmt: skip
    """Read the loss of a statement, and evaluate it where the run begins.

    Args:
        context: where it runs.
        minimize: the statement.
        step: the column that counts the generations.
        values: the parameters of the first step.
        datasets: takes what it reads, for the first step.

    Raises:
        SqlError: it cannot be read or run, or is not one number (with PER, one for each key).
    """
    query, ctes, statement = _query_of(context, minimize, step)
    prepared = context.prepare(statement)
    bound = context.tables.bound(statement.tree["Query"])
    rows = _of_first_batch(context, minimize, query, ctes, bound, values, datasets)
    begun = minimize.batch is None or rows is not None
    rows = evaluated(context, prepared, values, bound.names, datasets) if rows is None else rows
    per = _keys(minimize, rows.column_names)
    place = _loss_column(minimize, rows, per, step)
    _check_rows(minimize, rows.select([*per, rows.column_names[place]]), per)
    tree = Statement(query, query).tree
    select, expression, column = select_text(query), "", rows.column_names[place]
    projection = _select_of(tree).get("projection", ())
    if select is None or len(projection) != len(select.items) or any(map(_is_star, projection)):
        select = None
    else:
        expression, name = _named(select.items[place], projection[place])
        column = name or "loss"
        select = _with_names(select, projection, place)
    whole = select
    if minimize.batch is not None:
        if select is None:
            raise minimize.refused("BATCH needs a loss that is one SELECT", "Write the condition into its WHERE.",
                                   minimize.batch)  # fmt: skip
        select = select.filtered(minimize.batch.text)
    taken = {identifier(parts[-1]) for parts in context.reads(statement.tree)} | set(ctes_of(ctes))
    if minimize.named and _folded_name(minimize)[-1] not in context.store.entries():
        taken -= {_folded_name(minimize)[-1]}  # a CTE that is put in the place of its name
    return Loss(
        query if select is None else str(select), ctes, column, per, select, whole, expression, place, tree, bound,
        rows.select([*per, rows.column_names[place]]), begun, frozenset(taken),
    )  # fmt: skip


def _of_first_batch(
    context: Context, minimize: Minimize, query: str, ctes: str, bound: Relation, values: Mapping[str, Any],
    datasets: ReadDatasets | None,
) -> pa.Table | None:  # fmt: skip
    """The loss of the first batch, where it is one number; None where that of all rows says what does not fit."""
    select = None if minimize.batch is None or not always_one_row(bound) else select_text(query)
    if select is None or (ctes and select.ctes):
        return None
    assert minimize.batch is not None
    select = replace(select.filtered(minimize.batch.text), ctes=ctes or select.ctes)
    rows = of_one_batch(context, minimize, select, values, bound.names, datasets)
    return rows if rows.num_rows == 1 and not any(column.null_count for column in rows.columns) else None


def _with_names(select: SelectText, projection: Sequence[Tree], place: int) -> SelectText:
    """A SELECT whose items all have names: those of the engine are nothing to write down."""
    items = list(select.items)
    for number, item in enumerate(projection):
        if _named(items[number], item)[1] is None:
            items[number] += f" AS {'loss' if number == place else f'key_{number}'}"
    return replace(select, items=tuple(items))


def _query_of(context: Context, minimize: Minimize, step: str) -> tuple[str, str, Statement]:
    """The loss's query and the CTEs before it, and both as a statement whose places are those of the user's text."""
    whole, ctes = minimize.statement, "" if minimize.ctes is None else minimize.ctes.text
    start, loss = whole.start, minimize.loss
    head = whole.script[start : minimize.ctes.start + len(ctes)] if minimize.ctes is not None else ""
    if not minimize.named:
        gap = " " * (loss.start - start - len(head))  # in the place of MINIMIZE, so that what follows keeps its place
        lines = "".join("\n" if c == "\n" else " " for c in whole.script[start + len(head) : loss.start - 1])
        text = f"{head}{lines}({loss.text})" if gap else f"{head}({loss.text})"
        return loss.text, ctes, Statement(text, whole.script, start, whole.index, whole.count)
    name = _folded_name(minimize)
    if len(name) == 1 and name[0] in ctes_of(ctes):
        query = ctes_of(ctes)[name[0]]
        text = f"{head} SELECT * FROM {loss.text}"
        return query, _without(ctes, name[0]), Statement(text, whole.script, start, whole.index, whole.count)
    entry = context.store.entries().get(name[-1])
    if not isinstance(entry, View) or ctes:
        known = [*ctes_of(ctes), *(n for n, e in context.store.entries().items() if isinstance(e, View))]
        raise minimize.refused(
            f"the loss `{loss.text}` is no CTE before it and no view",
            suggest(loss.text, known) or "Write the query in parentheses: (SELECT AVG(...) FROM ...).", loss,
        )  # fmt: skip
    columns = context.tables.schema(name)
    where = f" WHERE {quoted(step)} = :k" if columns is not None and step in columns.names else ""
    query = f"SELECT * FROM {loss.text}{where}"
    return query, "", Statement(query, query)


def _folded_name(minimize: Minimize) -> tuple[str, ...]:
    tree = Statement(f"SELECT * FROM {minimize.loss.text}", "").tree
    return name_of(_select_of(tree)["from"][0]["relation"]["Table"]["name"])


def _without(ctes: str, name: str) -> str:
    """The CTEs but the one that is the loss."""
    kept = [f"{quoted(other)} AS ({query})" for other, query in ctes_of(ctes).items() if other != name]
    return ", ".join(kept)


def _select_of(tree: Tree) -> dict[str, Any]:
    body = tree["Query"]["body"]
    while "Query" in body:
        body = body["Query"]["body"]
    found: dict[str, Any] = body.get("Select") or {}
    return found


def _is_star(item: Tree) -> bool:
    return isinstance(item, dict) and not ({"UnnamedExpr", "ExprWithAlias"} & set(item))


def _named(text: str, item: Tree) -> tuple[str, str | None]:
    """An item's expression, and its name; None where it has none that could be written."""
    if "ExprWithAlias" in item:
        words = [t for t in tokens(text) if t.kind not in (TokenKind.SPACE, TokenKind.COMMENT)][:-1]
        if words[-1].text.upper() == "AS":
            words.pop()
        return text[: words[-1].end], identifier(item["ExprWithAlias"]["alias"])
    expression = item["UnnamedExpr"]
    if "Identifier" in expression:
        return text, identifier(expression["Identifier"])
    if "CompoundIdentifier" in expression:
        return text, identifier(expression["CompoundIdentifier"][-1])
    return text, None


def _keys(minimize: Minimize, names: Sequence[str]) -> tuple[str, ...]:
    for target in minimize.per:
        if target.parts[-1] not in names:
            raise minimize.refused(
                f"the loss has no column `{target.parts[-1]}`, which PER names",
                "Select it, and group by it: (SELECT lat, lon, AVG(...) AS loss FROM ... GROUP BY lat, lon).",
                target.piece,
            )  # fmt: skip
    return tuple(dict.fromkeys(target.parts[-1] for target in minimize.per))


def _loss_column(minimize: Minimize, rows: pa.Table, per: Sequence[str], step: str) -> int:
    places = [i for i, name in enumerate(rows.column_names) if name not in per]
    if len(places) > 1:
        places = [i for i in places if rows.column_names[i] != step]
    if len(places) != 1:
        shown = ", ".join(rows.column_names[i] for i in places) or "no column beside its keys"
        raise minimize.refused(
            f"a loss is one number; this one has {shown}",
            "Name the keys behind PER, and select one number beside them.", minimize.loss,
        )  # fmt: skip
    kind = rows.schema.field(places[0]).type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        error: SqlError = TypeMismatchError(f"the loss is {kind} and no number", hint="Select one number: AVG(...).")
        raise minimize.statement.place(error, minimize.loss.span)
    return places[0]


def _check_rows(minimize: Minimize, rows: pa.Table, per: Sequence[str]) -> None:
    if not per:
        if rows.num_rows != 1:
            raise minimize.refused(
                f"the loss has {rows.num_rows} rows, not one",
                "Aggregate it to one number, or name the columns behind PER that tell its rows apart.", minimize.loss,
            )  # fmt: skip
        if rows.column(0)[0].as_py() is None:
            raise minimize.refused(
                "the loss is NULL", "It reads no row, or NULLs alone: look at its FROM and WHERE (step = :k?).",
                minimize.loss,
            )  # fmt: skip
        return
    groups = rows.group_by(list(per), use_threads=False).aggregate([]).num_rows
    if groups != rows.num_rows:
        raise minimize.refused(
            f"the loss has {rows.num_rows} rows for {groups} combinations of {', '.join(per)}",
            "GROUP BY exactly what stands behind PER.", minimize.loss,
        )  # fmt: skip
    missing = pc.sum(pc.is_null(rows.column(rows.num_columns - 1))).as_py() or 0
    if missing:
        raise minimize.refused(
            f"the loss of {missing} of {rows.num_rows} combinations of {', '.join(per)} is NULL",
            "Leave those out in its WHERE, and give them no parameters.", minimize.loss,
        )  # fmt: skip

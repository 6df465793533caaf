"""A statement that is ready to run any number of times: bind, route, execute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

from ..autodiff.rewrite import rewrite
from ..errors import SqlError, UnsupportedError, UsageError
from ..relation.functions import of_session
from ..sql.parameters import bind, can_be_parameter, has_parameters, missing
from ..sql.syntax import Statement, Tree, identifier, local_name, span_of, tables_named, to_sql
from ..statements import dml
from ..statements.external import create_external, is_external
from . import inventory, named, plans, settings
from .admission import refused_run
from .answers import Answer
from .failures import translate
from .faults.laterals import said_plainly
from .frame import Frame
from .information import with_base_tables
from .interrupt import interruptible, of_panic
from .plain import plain
from .recursion.frame import LateFrame, RecursiveFrame
from .result import Result
from .summary import summarized, summary

if TYPE_CHECKING:
    from .context import Context

Executor = Literal["auto", "dense", "relational"]
"""Who runs a query: DataFusion ("relational"), array code or nobody ("dense"), or whichever pays ("auto")."""


@dataclass(frozen=True)
class Prepared:
    """A statement that is read and differentiated; :meth:`run` binds its parameters and runs it.

    Attributes:
        context: where it runs.
        statement: what the user wrote.
        tree: what will run, parameters still in it; None where only DataFusion can read the statement.
    """

    context: Context
    statement: Statement
    tree: Tree | None

    def run(self, values: Mapping[str, Any] | None = None, executor: Executor = "relational") -> Result:
        """Bind and run.

        Args:
            values: parameters by name; the notebook's variables stand behind them.
            executor: who runs it, if it is a query.

        Raises:
            SqlError: with the place in the user's text. Nothing has changed then.
        """
        try:
            with of_session(self.context):
                return self._run(values or {}, executor)
        except SqlError as error:
            self.context.store.fail()
            raise self.statement.place(error, error.span or self.statement.first_word) from error.__cause__
        except RecursionError:
            self.context.store.fail()
            raise too_deep(self.statement) from None
        except BaseException as error:
            failure = of_panic(error) or (error if isinstance(error, Exception) else None)
            if failure is None:
                raise
            self.context.store.fail()
            raise self.explain_error(failure) from failure

    def grid(self, values: Mapping[str, Any]) -> tuple[Frame, int] | None:
        """The rows that the statement fetches, and their number, where it only selects or joins whole tables.

        Nothing runs for it. None where it aggregates, filters, limits, fetches nothing, or cannot be planned.
        """
        if self.tree is None or not isinstance(self.tree, dict):
            return None
        kind, node = next(iter(self.tree.items()))
        query = {"Query": self.tree, "CreateTable": node.get("query"), "Insert": node.get("source")}.get(kind)
        if query is None:
            return None
        try:
            tree = Prepared(self.context, self.statement, query if kind == "Query" else {"Query": query}).bind(values)
            frame = self.context.plan(to_sql(tree))
            rows = plans.grid_rows(frame, self.context)
        except Exception:  # whatever it is, running the statement says it better
            return None
        return None if rows is None else (frame, rows)

    def explain_error(self, error: Exception) -> SqlError:
        """The error for a person, with its place, that stands for one that the engine raised."""
        context = self.context
        plan = None if self.statement.has_effects or self.tree is None else self._plan_variant
        found = translate(error, self.statement, context.tables, functions=list(context.functions), plan=plan)
        return said_plainly(found, self.statement.parsed[0])

    def _plan_variant(self, tree: Tree) -> None:
        """Plan another tree in the place of the statement's own; it raises what the engine raises."""
        tree = plain(tree, self.statement.text, self.context)
        prepared = Prepared(self.context, self.statement, rewrite(tree, self.context.tables, rules=self.context.rules))
        self.context.plan(to_sql(prepared.bind({}))).execution_plan()

    def bind(self, values: Mapping[str, Any]) -> Tree:
        """The tree with every parameter a literal.

        Raises:
            ParameterError: one has no value, or one that SQL has no literal for.
        """
        if not has_parameters(self.statement.text):
            return self.tree
        namespace = self.context.variables.namespace
        variables = namespace() if namespace is not None else {}

        def lookup(name: str) -> Any:
            if name in values:
                return values[name]
            if name in variables:
                return variables[name]
            known = (n for n, v in variables.items() if not n.startswith("_") and can_be_parameter(v))
            raise missing(name, [*values, *known])

        return bind(self.tree, lookup)

    def _run(self, values: Mapping[str, Any], executor: Executor) -> Result:
        statement, context = self.statement, self.context
        if self.tree is None:
            if is_external(statement):
                effect = create_external(statement, context)
                return Result(statement, statement.text, None, effect.tag, effect.rows)
            return self._pass_on(statement.text)
        if statement.kind in named.KINDS:
            return named.run(self, values, executor)
        tree = self.bind(values)
        made = dml.made_by(tree)
        if made is not None:  # a table wins over a variable of its name
            self._refuse_own_source(made, tree)
            context.variables.release(made)
        if dml.has_effects(tree):
            effect = dml.execute(statement, tree, context)
            frame = None if effect.returning is None else context.frame_of(effect.returning)
            hidden = None if made is None else context.variables.hidden_by(made)
            tag = effect.tag
            if hidden is not None:
                tag = f"{tag}; it hides the {hidden} variable `{made}`"
                context.variables.tell_hidden(made)
            return Result(statement, tree, frame, tag, effect.rows)
        sql = statement.text if tree is statement.tree else to_sql(tree)
        if statement.has_effects:
            if statement.kind == "Explain":
                raise refused_run(statement)
            settings.check(tree)
            return self._pass_on(sql)
        query = summarized(tree)
        if query is not None:
            return Result(statement, sql, context.frame_of(summary(plain(query, "SUMMARIZE", context), context)))
        listing = inventory.listed(context, tree)
        if listing is not None:
            return Result(statement, sql, context.frame_of(listing))
        if "information_schema" in sql:
            context.variables.refresh()
            context.store.schema.unlisted = frozenset(context.tables.broken())
            tree = with_base_tables(tree, context.store.entries())
            sql = to_sql(tree)
        frame = context.plan(sql, tree).explained(self.explain_error)
        answer = None
        own = isinstance(frame, RecursiveFrame) and executor == "auto"  # its rounds look for array code themselves
        if executor != "relational" and statement.kind == "Query" and not own:
            answer = self._answer(tree, frame, executor)
        return Result(
            statement, sql, frame, plan=self._explain(tree, executor),
            limited=lambda: None if isinstance(frame, LateFrame) else plans.limited(frame, context),
            explain_error=frame.failing(self.explain_error), answer=answer,
        )  # fmt: skip

    def _refuse_own_source(self, made: str, tree: Tree) -> None:
        """Refuse to make a table of the variable whose name it takes: it would be hidden before it is read."""
        source = {"Query": next(iter(tree.values())).get("query")}
        read = [parts for parts in tables_named(source) if local_name(tuple(map(identifier, parts))) == (made,)]
        if read and self.context.variables.kind_of(made) is not None:
            error = UsageError(
                f"`{made}` is the variable that the query reads", hint=f"Give the table another name: {made}_scratch."
            )
            error.span = span_of(read[0])
            raise error

    def _answer(self, tree: Tree, frame: Frame, executor: Executor) -> Answer | None:
        """What gives a query's rows in another way than DataFusion; None where nothing does."""
        if self.context.answers is not None:
            return self.context.answers.answer(self.context, self, tree, frame, executor)
        if executor == "dense":
            raise UnsupportedError("this context has no array code")
        return None

    def _explain(self, tree: Tree, executor: Executor) -> str:
        """The plan that EXPLAIN asks for, drawn by us; "" where it asks for a run, another format, or nothing."""
        asked = tree["Explain"] if self.statement.kind == "Explain" else None
        if asked is None or asked["analyze"] or asked["verbose"] or asked.get("format") or asked.get("options"):
            return ""
        inner = asked["statement"]
        frame = self.context.plan(to_sql(inner), inner)
        answers = self.context.answers if executor != "relational" and "Query" in inner else None
        who = "" if answers is None else answers.who_runs(self.context, inner, frame, executor)
        parts = frame.parts if isinstance(frame, LateFrame) else ()
        try:
            whole = [plans.explain(frame, self.context)]
            for said, plan in parts:
                whole += [said, plans.explain(plan, self.context)]
            return "\n".join(([who] if who else []) + whole)
        except Exception:  # it has no physical plan; the engine's EXPLAIN has the logical one, and says why
            return ""

    def _pass_on(self, sql: str, frame: Frame | None = None) -> Result:
        """A statement of DataFusion's own, with or without effects: it runs once, now."""
        frame = frame or self.context.plan(sql)
        if not self.statement.has_effects:
            return Result(self.statement, sql, frame.explained(self.explain_error), explain_error=self.explain_error)
        rows = interruptible(frame.to_arrow_table, frame)
        self.context.alterations += 1
        done = summary_of(self.statement)
        return Result(self.statement, sql, self.context.frame_of(rows) if rows.num_rows else None, done)


def summary_of(statement: Statement) -> str:
    """What a statement of the engine's own has done, in a line: ``e: external table created``, ``SET x: done``."""
    words = [token.text for token in statement.tokens]
    capitals = [word.upper() for word in words]
    if "EXTERNAL" in capitals[:4] and "TABLE" in capitals[:6]:
        at = capitals.index("TABLE") + 1
        at += 3 if capitals[at : at + 3] == ["IF", "NOT", "EXISTS"] else 0
        return f"{words[at]}: external table created"
    return f"{' '.join(takewhile(str.isalpha, capitals[:2]))}: done"


def too_deep(statement: Statement) -> SqlError:
    """The error of a statement whose expressions are nested more deeply than can be followed."""
    hint = "Put the terms of a long chain into a table and aggregate them, or compute part of them in a subquery."
    return statement.place(UnsupportedError("this is nested too deeply", hint=hint), statement.first_word)

"""An error of the engine -> an error that points into the user's own text.

Planning errors carry no place, and what was planned is not what was written (derivatives and parameters have been put
in). So the place is found in the user's tree: by the name that the message mentions, and where that fits more than one
place, or none, by asking: the engine plans the statement again with one suspect after another replaced by NULL, and
the suspect without which it says something else is the culprit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from ..errors import Span, SqlError
from ..sql.complaint import statement_hint
from ..sql.lexer import span_at
from ..sql.syntax import NOWHERE, Statement, Tree, identifier, replace, span_of, tables_named, walk
from .findings import Finding, KnownNames
from .messages import RELATIONS, core, explain
from .suspects import Suspect

Plan = Callable[[Tree], object]
"""Plans a tree without running it, and raises what the engine raises."""

_PATIENCE = 0.4  # seconds spent on looking for the place
_NULL = {"Value": {"value": "Null", "span": NOWHERE}}
_EXPRESSIONS = {
    "Identifier", "CompoundIdentifier", "BinaryOp", "UnaryOp", "Function", "Cast", "Like", "ILike", "InList",
    "InSubquery", "Between", "Case", "Value", "Subquery", "Exists", "IsNull", "IsNotNull", "CompoundFieldAccess",
    "Extract", "Substring", "Trim", "Position", "Ceil", "Floor", "Interval", "Tuple", "Array", "AtTimeZone",
}  # fmt: skip
# Keys whose value is an object's name, not an expression, though both are built of "Identifier".
_NAME_KEYS = {"name", "table_name", "ObjectName", "names", "table", "object_name"}


class Names(Protocol):
    """What suggestions need of a catalog."""

    def known(self, functions: Sequence[str], read: Sequence[tuple[str, ...]]) -> KnownNames:
        """The names there are, for a statement that names these relations."""


def translate(
    error: Exception,
    statement: Statement,
    catalog: Names | None = None,
    *,
    functions: Sequence[str] = (),
    plan: Plan | None = None,
) -> SqlError:
    """The error that a person reads for one that the engine raised.

    Args:
        error: what was raised while ``statement`` was planned or run; a SqlError keeps what it says and gets a place.
        statement: the user's statement, as written.
        catalog: knows the tables' names, to suggest.
        functions: names to suggest.
        plan: how the engine plans a variant of ``statement.tree``, to find the place of a planning error; None where
            planning would have effects, or where the error came from running.

    Returns:
        A SqlError that points into ``statement.script`` where a place was found, and else at the statement's first
        word. ``error`` is its cause.
    """
    if isinstance(error, SqlError):
        return statement.place(error)
    tree, unread = statement.parsed
    if unread is not None and "ParserError" in str(error):
        return unread
    finding = explain(str(error), _known(tree, catalog, functions))
    failure = finding.kind(finding.what, hint=finding.hint or statement_hint(statement.text))
    span = _locate(tree, finding, str(error), plan) or _word(statement, finding.word)
    failure.__cause__ = error
    return statement.place(failure, span or statement.first_word)


def _known(tree: Tree, catalog: Names | None, functions: Sequence[str]) -> KnownNames:
    if catalog is None:
        return KnownNames((), functions)
    return catalog.known(functions, [tuple(map(identifier, name)) for name in tables_named(tree)])


def _suspects(tree: Tree, suspect: Suspect) -> Iterator[dict[str, Any]]:
    """The nodes that ``suspect`` accepts: expressions and relations, not the names that stand for other things."""
    todo = [(tree, "")]
    while todo:
        node, key = todo.pop()
        if isinstance(node, list):
            todo += [(item, "") for item in reversed(node)]
        elif isinstance(node, dict) and key:  # the part of it that its key names
            value = node[key]
            if (key in _EXPRESSIONS or key in RELATIONS) and suspect(key, value):
                yield node
            todo.append((value, ""))
        elif isinstance(node, dict):
            todo += [(node, key) for key in reversed(node) if key not in _NAME_KEYS or not _is_name(node[key])]


def _is_name(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(p, dict) and "Identifier" in p for p in value)


def _locate(tree: Tree, finding: Finding, message: str, plan: Plan | None) -> Span | None:
    """The span of what a finding is about, or None where its word tells more."""
    if finding.word and finding.suspect is None:
        return None
    named = list(_suspects(tree, finding.suspect)) if finding.suspect else []
    culprit = named[0] if len(named) == 1 or (named and plan is None) else None
    if culprit is None and plan is not None and core(_complaint(tree, plan)) == core(message):
        culprit = _culprit(tree, named, message, plan) or _culprit(tree, _deepest_first(tree), message, plan)
    return _span(culprit) if culprit else None


def _deepest_first(tree: Tree) -> list[dict[str, Any]]:
    """Every expression: literals, since a wrong one spoils what it is compared with, then inner before outer ones."""
    found = list(_suspects(tree, lambda kind, _: kind in _EXPRESSIONS and kind not in RELATIONS))
    return sorted(found, key=lambda node: (next(iter(node)) != "Value", sum(1 for _ in walk(node))))


def _culprit(tree: Tree, suspects: list[dict[str, Any]], message: str, plan: Plan) -> dict[str, Any] | None:
    """The first suspect without which the engine says something else; where several are at fault, the last of them."""
    end = time.monotonic() + _PATIENCE
    for gone in ([s] for s in suspects), (suspects[: n + 1] for n in range(len(suspects))):
        for nodes in gone:
            if time.monotonic() > end:
                return None
            complaint = _complaint(_without(tree, nodes), plan)
            # A name is not an expression everywhere (USING takes no NULL); that says nothing about the culprit.
            if core(complaint) != core(message) and "ParserError" not in complaint:
                return nodes[-1]
    return None


def _without(tree: Tree, nodes: list[dict[str, Any]]) -> Tree:
    gone = {id(n) for n in nodes}
    return replace(tree, lambda node: _NULL if id(node) in gone else None)


def _complaint(tree: Tree, plan: Plan) -> str:
    try:
        plan(tree)
    except Exception as error:
        return str(error)
    return ""


def _span(node: dict[str, Any]) -> Span | None:
    """Where a node stands; of a call and a table only the name, so that the caret is under the word at fault."""
    for kind in ("Function", "Table", "ExplainTable"):
        if kind in node:
            return span_of(node[kind].get("name") or node[kind].get("table_name"))
    return span_of(node)


def _word(statement: Statement, word: str) -> Span | None:
    """The first place of a word outside strings and comments."""
    for token in statement.tokens:
        if word and token.text.lower() == word.lower():
            return span_at(statement.script, statement.start + token.start, statement.start + token.end)
    return None

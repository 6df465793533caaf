"""Statements with their derivatives worked out: once for a tree and the tables as they are defined, not once a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..autodiff.rewrite import rewrite
from ..relation.functions import of_session
from ..sql.syntax import Tree, identifier
from ..storage.definition import Definition

if TYPE_CHECKING:
    from .context import Context
    from .faults import Mending

_REMEMBERED = 64  # statements; a notebook's cells have fewer that hold derivatives or parameters


@dataclass(frozen=True)
class _DerivedStatement:
    """What a statement has become.

    Attributes:
        tree: the statement.
        session: what stands for the functions and the rules of derivatives that there were.
        shapes: of each relation that it reads, what stands for its columns and key.
        derived: the statement without derivatives.
    """

    tree: Tree
    session: tuple[Any, ...]
    shapes: Mapping[tuple[str, ...], Any]
    derived: Tree


class Derived:
    """Remembers what statements become; a cell that is run again is not worked out again.

    Args:
        context: knows the tables.
        mending: widens the integers of what has been worked out.
    """

    def __init__(self, context: Context, mending: Mending) -> None:
        self._context, self._mending = context, mending
        self._found: dict[str, _DerivedStatement] = {}

    def of(self, tree: Tree, text: str, reads: Sequence[list[dict[str, Any]]]) -> Tree:
        """A statement's tree with every derivative worked out, and integers that do not wrap around.

        Args:
            tree: the statement.
            text: its text.
            reads: the relations that it reads, those of its views among them.

        Raises:
            DerivativeError, UnknownNameError: see :func:`..autodiff.rewrite.rewrite`; nothing is remembered then.
        """
        context = self._context
        session = context.alterations, context.rules
        shapes = {name: context.tables.shape(name) for name in (tuple(map(identifier, parts)) for parts in reads)}
        known = self._found.get(text)
        if known is not None and known.session == session and _same(known.tree, tree) and _stand(known.shapes, shapes):
            return known.derived
        with of_session(context):
            derived = rewrite(tree, context.tables, rules=context.rules)
        derived = self._mending.widened(derived, text)
        if len(self._found) >= _REMEMBERED:
            del self._found[next(iter(self._found))]
        self._found[text] = _DerivedStatement(tree, session, shapes, derived)
        return derived


def _same(one: Tree, other: Tree) -> bool:
    """Whether two trees are equal, the places in the user's text among it: errors point there."""
    try:
        return bool(one == other)
    except RecursionError:  # it is nested too deeply to be compared
        return False


def _stand(known: Mapping[tuple[str, ...], Any], now: Mapping[tuple[str, ...], Any]) -> bool:
    """Whether all relations have the columns and keys that they had."""
    if known.keys() != now.keys():
        return False
    return all(
        now[name] is was or (isinstance(was, Definition) and isinstance(now[name], Definition) and now[name] == was)
        for name, was in known.items()
    )

"""What a statement was planned on, and whether it still stands: tables' shapes, views, variables, functions, settings.

The rows of tables are not looked at here: whoever keeps some asks the store whether they are still the table's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ...sql.syntax import identifier, local_name
from ...storage.definition import Definition
from ...storage.scratch import Version

if TYPE_CHECKING:
    from ...engine.context import Context
    from ...engine.prepared import Prepared

Name = tuple[str, ...]


class Basis:
    """What some statements were planned on; to ask whether it stands costs a microsecond a table.

    Args:
        context: where they run.
        statements: prepared just now.
        writes: the tables that they change.
        made: those that they make anew, so that their shape is known when they have run (:meth:`settle`).
    """

    def __init__(
        self, context: Context, statements: Sequence[Prepared], writes: Collection[str] = (), made: Collection[str] = ()
    ) -> None:
        self._context, self._made = context, frozenset(made)
        self._alterations, self._rules = context.alterations, context.rules
        read = {
            local_name(tuple(identifier(part) for part in parts))
            for prepared in statements if prepared.tree is not None
            for parts in context.reads(prepared.tree)
        }  # fmt: skip
        names = {*read, *((name,) for name in writes)}
        self._variables = [name[0] for name in names if context.variables.kind_of(name[0]) is not None]
        self._known = {name: self._standing(name) for name in names if name[0] not in self._made}
        for name in self._variables:
            self._known.pop((name,), None)  # of which the variables tell
        self._settled = not self._made

    def stands(self) -> bool:
        """Whether nothing that the statements were planned on has changed."""
        context = self._context
        if context.alterations != self._alterations or context.rules is not self._rules:
            return False
        entries = context.store.entries()
        for name, known in self._known.items():
            entry = entries.get(name[0]) if len(name) == 1 else None
            if isinstance(entry, Version) and entry.definition is known:  # which it is, nearly always
                continue
            found = self._standing(name)
            if found is not known:
                if not isinstance(found, Definition) or found != known:
                    return False
                self._known[name] = found
        return not (self._variables and context.variables.rebound(self._variables))

    def settle(self) -> None:
        """The statements have run once: the tables that they make have their shape."""
        if not self._settled:
            self._known |= {(name,): self._standing((name,)) for name in self._made}
            self._settled = True

    def _standing(self, name: Name) -> Any:
        """What stands for a table's shape; None for a variable's, of which the variables tell."""
        return None if name[0] in self._variables else self._context.tables.shape(name)

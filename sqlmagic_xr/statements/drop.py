"""DROP TABLE and DROP VIEW."""

from __future__ import annotations

from ..errors import ImmutableError, SqlError, UnknownNameError, UnsupportedError, UsageError, suggest
from ..sql.syntax import Statement, Tree, span_of
from ..storage.scratch import Version
from ..storage.transaction import View, Work
from .effect import Effect, Engine, plain_name


def drop(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None = None) -> Effect:
    """DROP TABLE or DROP VIEW [IF EXISTS] names [CASCADE]."""
    body = tree["Drop"]
    kind = body["object_type"]
    if kind not in ("Table", "View"):
        raise UnsupportedError(f"DROP {str(kind).upper()} is not offered")
    wanted: type[Version] | type[View] = Version if kind == "Table" else View
    registered: list[str] = []
    with engine.store.writing(statement.text) as work:
        dropped = []
        for parts in body["names"]:
            name = plain_name(parts)
            entry = work.entries.get(name)
            if isinstance(entry, wanted):
                _drop_dependent_views(name, work, cascade=body["cascade"])
                work.drop(name)
                dropped.append(name)
            elif entry is not None:
                raise UsageError(f"`{name}` is a {'view' if kind == 'Table' else 'table'}", hint="Use the other DROP.")
            elif engine.store.schema.registered(name):
                _refuse_to_forget(name, engine)
                registered.append(name)
            elif not body["if_exists"]:
                tables = [n for n, e in work.entries.items() if isinstance(e, wanted)]
                error = UnknownNameError(f"there is no {kind.lower()} `{name}`", hint=suggest(name, tables))
                raise _placed(error, parts)
    for name in registered:  # what it reads is not ours and stays as it is; only its name goes
        engine.session.deregister_table(name)
    return Effect(f"{', '.join(dropped + registered)}: dropped" if dropped or registered else "nothing to drop")


def _refuse_to_forget(name: str, engine: Engine) -> None:
    known = engine.relation((name,))
    if known is not None and known.kind == "variable":
        raise ImmutableError(f"`{name}` is a variable of the notebook", hint=f"In Python: del {name}")
    if engine.store.in_transaction:
        raise UnsupportedError(
            f"`{name}` was registered from outside, which a ROLLBACK could not bring back",
            hint="DROP it outside of the transaction.",
        )


def _drop_dependent_views(name: str, work: Work, *, cascade: bool) -> None:
    readers = [v.name for v in work.entries.values() if isinstance(v, View) and (name,) in v.reads]
    if readers and not cascade:
        raise UsageError(
            f"`{name}` is read by the view `{readers[0]}`", hint=f"DROP ... {name} CASCADE drops its views too."
        )
    for reader in readers:
        if reader in work.entries:
            _drop_dependent_views(reader, work, cascade=True)
            work.drop(reader)


def _placed(error: SqlError, tree: Tree) -> SqlError:
    error.span = span_of(tree)
    return error

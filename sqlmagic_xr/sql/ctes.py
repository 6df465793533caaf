"""CTEs that several relations read, as queries to be evaluated once: an engine would write them out each time.

It would also add up numbers in another order each time, so that what was a maximum in one place is none in another.
``once`` in a WITH clause is a mark of ours, which no text shows: whoever wrote the clause asks for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .build import select, star, table
from .clauses import with_ctes
from .syntax import Tree, identifier, tables_named


@dataclass(frozen=True)
class EvaluatedOnce:
    """A query in pieces.

    Attributes:
        steps: the name of a relation, and the query that gives its rows, from tables and the relations before it.
        rest: the query itself, over those relations.
    """

    steps: tuple[tuple[str, Tree], ...]
    rest: Tree


def shared(tree: Tree) -> EvaluatedOnce | None:
    """The pieces of a statement, or None where the engine does as well with all of it at once.

    Args:
        tree: the statement.
    """
    if "Explain" in tree:
        inner = shared(tree["Explain"]["statement"])
        if inner is None:
            return None
        return EvaluatedOnce(inner.steps, {"Explain": {**tree["Explain"], "statement": inner.rest}})
    query = tree.get("Query")
    if not isinstance(query, dict) or query["with"] is None:
        return None
    hoisted = list(_hoisted(query))
    if not any(mark for _, _, mark in hoisted):
        return None
    inside = {_name(cte): inner for cte, inner, _ in hoisted}
    rest = {**query, "with": None}
    if len(inside) < len(hoisted):
        return None  # a name that means two things
    reads = {name: _reads(inner, inside) for name, inner in inside.items()}
    last = _reads(rest, inside)
    readers = Counter(last)
    for found in reads.values():
        readers.update(found)
    relations = {name: f"__once_{n}__" for n, name in enumerate(inside, 1) if readers[name] > 1}
    if not relations:
        return None
    whole = _Whole([cte for cte, _, _ in hoisted], inside, reads, relations)
    steps = tuple((relations[name], whole.query(inside[name], reads[name])) for name in inside if name in relations)
    return EvaluatedOnce(steps, {"Query": whole.query(rest, last)})


@dataclass(frozen=True)
class _Whole:
    """Puts in front of a query the CTEs that it needs."""

    ctes: Sequence[Tree]
    inside: Mapping[str, Tree]
    reads: Mapping[str, Counter[str]]
    relations: Mapping[str, str]

    def query(self, query: Tree, reads: Iterable[str]) -> Tree:
        """A query that reads these CTEs, with them and with what they read."""
        needed: set[str] = set()
        todo = list(reads)
        while todo:
            name = todo.pop()
            if name not in needed:
                needed.add(name)
                todo += () if name in self.relations else self.reads[name]
        own = query["with"]["cte_tables"] if query["with"] is not None else []
        made = [{**cte, "query": self._rows(_name(cte))} for cte in self.ctes if _name(cte) in needed]
        return with_ctes({**query, "with": None}, [*made, *own])

    def _rows(self, name: str) -> Tree:
        known = self.relations.get(name)
        return self.inside[name] if known is None else select([star()], [table(known)])["Query"]


def _hoisted(query: Tree) -> Iterable[tuple[Tree, Tree, bool]]:
    """The CTEs of a query, those within them in front: each with its query, and whether it is to be evaluated once."""
    mark = bool(query["with"].get("once"))
    for cte in query["with"]["cte_tables"]:
        inner = cte["query"]
        if inner["with"] is not None and _any_marked(inner):
            yield from _hoisted(inner)
            inner = {**inner, "with": None}
        yield cte, inner, mark


def _any_marked(query: Tree) -> bool:
    clause = query["with"]
    return clause is not None and (
        bool(clause.get("once")) or any(_any_marked(cte["query"]) for cte in clause["cte_tables"])
    )


def _name(cte: Tree) -> str:
    return identifier(cte["alias"]["name"])


def _reads(query: Tree, names: Mapping[str, Tree]) -> Counter[str]:
    """How often a query reads each of some CTEs."""
    found = (identifier(parts[0]) for parts in tables_named(query) if len(parts) == 1)
    return Counter(name for name in found if name in names)

"""The program of a step: queries lowered into one graph, and what calculates it statement by statement.

The seam to the engine is narrow: a :class:`Source` gives grids of tables, and each statement gives back grids. Nothing
here knows where the rows come from or where they go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from .alike import axes_of
from .block import BlockRequest, StepBlock
from .facts import Facts
from .lowered import Lowered, LoweredQuery, lowered
from .lowering.bound import Bindings
from .node import Node, Refused, Type, ancestors
from .ports import Changed, GridOutput, Source
from .reading import WrittenState
from .recurrence import Recurrence
from .running.buffers import Buffers
from .running.code import Code
from .running.instructions import Instruction, Still, function_of, scan
from .running.result import roots_of
from .running.standing import Moved, left
from .running.summary import Summary, summary
from .tables import Name, Tables
from .trims import Written

__all__ = ["LoweredQuery", "Program", "ProgramRun"]


class Program:
    """Some queries of a step, lowered together.

    Args:
        queries: the statements, in their order.
        tables: what tables there are, as they are now.
        parameters: the type of each parameter.
        lasting: whether it is to make many steps, so that it pays to look which axes are the same.
        bindings: the queries that other programs of the session have bound; what this one binds is added.
        changing: tables whose rows are others when it runs again, beside those that the queries write.
        slow: how many steps are made node by node before functions of them are written: more than one where none is
            likely to follow, or a loop makes those that do.

    Attributes:
        refusals: for each query why it is not lowered, or None.
        edition: another number as soon as what is made of the queries is another.
    """

    def __init__(
        self, queries: Sequence[LoweredQuery], tables: Tables, parameters: Mapping[str, Type], *, lasting: bool = False,
        bindings: Bindings | None = None, changing: Collection[Name] = (), slow: int = 1,
    ) -> None:  # fmt: skip
        self._queries, self._parameters = tuple(queries), dict(parameters)
        self._facts = Facts(tables)
        self._texts = [name for name, kind in parameters.items() if kind == "label"]
        self._changing = {*changing, *(table for query in queries for table in query.writes)}
        self.edition = 0
        self._bindings: Bindings = {} if bindings is None else bindings
        self._lasting = self._unlearned = lasting
        self._slow = slow
        self._stands = True
        self._lower()

    def _lower(self) -> None:
        self.edition += 1
        found = lowered(self._queries, self._facts, self._parameters, self._changing, self._bindings)
        self.refusals: Sequence[Refused | None] = found.refusals
        self._unsure = _written_over(self._queries, found)
        idle = [refusal is not None or q.empties for refusal, q in zip(self.refusals, self._queries, strict=True)]
        self._lowered = [None if nothing else parts for parts, nothing in zip(found.parts, idle, strict=True)]
        used = [place for place, nothing in enumerate(idle) if not nothing]
        self._before = [frozenset(place for place in used if place < index) for index in range(len(self._queries))]
        self._kept: dict[Node, Any] = {}
        self._watched: list[tuple[Node, Any]] = []
        self._steps = 0  # that were made node by node
        self._made: list[Code | None] | None = None

    @property
    def _code(self) -> list[Code | None]:
        """The instructions of each query, written when somebody asks: what :meth:`learn` finds may lower it again."""
        if self._made is None:
            buffers, done, still = Buffers(), dict[Node, Instruction](), Still(self._changing)
            self._made = []
            for parts in self._lowered:
                code = None if parts is None else Code(parts, dict(done), buffers, still, self._facts.labels)
                self._made.append(code)
                done.update({each[0]: each for each in code.whole} if code else {})
        return self._made

    def kept(self, source: Source) -> Mapping[Node, Any]:
        """What an earlier step has calculated from nothing but tables that are still as they were."""
        changed = {node.data.table for node, grid in self._watched if scan(node, (), source) is not grid}
        if changed:
            self._changing |= changed
            self.edition += 1
            self._kept, self._watched = {}, []
            self._forget()
        return self._kept

    def keep(self, known: dict[Node, Any], source: Source) -> None:
        """Keep what the next step will find the same, and leave it out of what is done then."""
        codes = [code for code in self._code if code is not None]
        for code in codes:
            code.take_apart(known)
            for node, args, _ in code.whole:
                varies = node.op == "parameter" or (node.op == "scan" and (args or node.data.table in self._changing))
                if node in known and not varies and all(argument in self._kept for argument in args):
                    self._kept[node] = known[node]
        self._watched = [
            (n, grid) for n, grid in self._kept.items() if n.op == "scan" and not source.settled(n.data.table)
        ]
        for code in codes:
            code.abridge(self._kept)
        self._steps += 1
        if self._steps < self._slow:
            return
        briefs, calculated, same, standing = left(
            [code.brief or () for code in codes], known, self._kept, [root for code in codes for root in code.roots],
            stands=self._stands,
        )  # fmt: skip
        wanted: set[Node] = set()
        for code, brief in zip(reversed(codes), reversed(briefs), strict=True):
            wanted = code.compile(brief, calculated, same, wanted, standing)

    def moved(self) -> None:
        """Take no axis to stay as it is any more: the functions of the steps are written again."""
        self._stands = False
        self._forget()

    def _forget(self) -> None:
        for code in self._made or ():
            if code is not None:
                code.forget()

    def step(self, source: Source, parameters: Mapping[str, Any], *, whole: bool = False) -> ProgramRun:
        """Begin a step.

        Args:
            source: the tables.
            parameters: their values.
            whole: calculate everything node by node, so that :meth:`block` knows all of it.
        """
        coded = self.coded(parameters)
        self.learn(source, coded)
        return ProgramRun(self, source, coded, whole=whole)

    def learn(self, source: Source, parameters: Mapping[str, Any]) -> None:
        """Look which axes of the tables are the same, before anything is calculated; then lower the queries by that.

        So what a step gives depends on what its tables hold, and not on whether it is the first one of a run.
        """
        if not self._unlearned:
            return
        self._unlearned = False
        try:
            roots = (root for parts in self._lowered for root in roots_of(parts or ()))
            nodes = dict.fromkeys(ancestors(roots))
            buffers, still = Buffers(), Still(self._changing)
            with np.errstate(all="ignore"):
                known = axes_of(nodes, lambda node: function_of(node, buffers, still), source, parameters)
        except Changed as change:
            self.relearn(change)
            self.learn(source, parameters)
        except (Refused, TypeError, MemoryError, OverflowError):
            return
        else:
            if self._facts.alike.learn(nodes, known):
                self._lower()

    def coded(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters with the codes of texts instead of these."""
        if not self._texts:
            return parameters
        return {**parameters, **{name: self._facts.labels.code(parameters[name]) for name in self._texts}}

    def block(self, step: ProgramRun, state: WrittenState, asked: BlockRequest) -> StepBlock:
        """What makes many steps like one that has just been made.

        Args:
            step: the one that was made.
            state: the tables.
            asked: which parameters vary.

        Raises:
            Refused: they are made one by one.
        """
        every = list(zip(self._queries, self.refusals, self._code, strict=True))
        codes = self._codes(writing=True)
        looks = {place: code for place, (query, _, code) in enumerate(every) if code is not None and not query.writes}
        tables = [query.writes[0] if query.writes else None for query in self._queries]
        writes = [
            Written(query.writes[0], query.replaces, tables[:place].count(query.writes[0]), query.trims)
            for place, query in enumerate(self._queries) if query.writes and not query.empties
        ]  # fmt: skip
        return StepBlock(codes, writes, step.known, self._kept, state, asked, looks)

    def recurrence(self, step: ProgramRun, table: Name, types: Mapping[str, Type | None]) -> Recurrence:
        """What goes through many rounds like one that has just been gone through.

        Args:
            step: that round.
            table: the working table.
            types: of its columns.

        Raises:
            Refused: they are gone through one by one.
        """
        return Recurrence(self._codes(writing=False), table, types, step.known, self._kept)

    def _codes(self, *, writing: bool) -> list[Code]:
        """The instructions of all queries, or of those that write.

        Raises:
            Refused: one of them has none.
        """
        every = list(zip(self._queries, self.refusals, self._code, strict=True))
        reason = next((r for query, r, _ in every if r is not None and (query.writes or not writing)), None)
        if reason is not None:
            raise reason
        if any(code is not None and code.brief is None for code in self._code):
            raise Refused("no step has been made as array code")
        return [code for query, _, code in every if code is not None and (query.writes or not writing)]

    def code(self, index: int) -> Code | None:
        """The instructions of a statement, if it is lowered."""
        return self._code[index]

    def summary(self, index: int) -> Summary | None:
        """What a statement keeps, reads and does at each step; None where it is not lowered."""
        code = self._code[index]
        return None if code is None else summary(code, self._kept)

    def before(self, index: int) -> frozenset[int]:
        """The lowered statements in front of one, whose results it uses."""
        return self._before[index]

    def stale(self, index: int, known: Collection[Node]) -> str:
        """A table that a statement would have to read as it was before one in front of it; "" for none.

        Args:
            index: the statement.
            known: what has been calculated.
        """
        code = self._code[index]
        nodes = (n for n, _, _ in (code.whole if code is not None else ()) if n not in known)
        for read in (node.data for node in nodes if node.op == "scan"):
            if any(place < index and before >= read.version for place, before in self._unsure.get(read.table, ())):
                return ".".join(read.table)
        return ""

    @property
    def lowered(self) -> int:
        """How many statements are lowered."""
        return sum(parts is not None for parts in self._lowered)

    def relearn(self, change: Changed) -> None:
        """Lower everything again for what the data turned out to be."""
        self._facts.note(change)
        self._unlearned = self._lasting
        self._lower()


class ProgramRun:
    """One run of a program: its statements are run one after the other, and what they share is calculated once.

    Args:
        program: what is run.
        source: gives the tables' rows, which earlier statements of the step may have changed.
        parameters: the values of the parameters.
        whole: see :meth:`Program.step`.
    """

    def __init__(self, program: Program, source: Source, parameters: Mapping[str, Any], *, whole: bool = False) -> None:
        self._program, self._source, self._parameters, self._whole = program, source, parameters, whole
        self._kept = program.kept(source)
        self._known: dict[Node, Any] = {}
        self._ran: set[int] = set()
        self._brief: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether all statements have run, and every node's value is known."""
        return len(self._ran) == self._program.lowered and not self._brief

    @property
    def known(self) -> Mapping[Node, Any]:
        """What has been calculated; everything where it was node by node."""
        return self._known

    def run(self, index: int) -> list[GridOutput]:
        """The rows of a statement, as grids whose rows together are its rows.

        Raises:
            Refused: the statement or its data are none of ours.
        """
        program = self._program
        while True:
            reason, code = program.refusals[index], program.code(index)
            if reason is not None or code is None:
                raise reason or Refused("it is not lowered")
            whole = self._whole or not code.ready or not self._ran.issuperset(program.before(index))
            if whole:
                self._known = {**self._kept, **self._known}
                if stale := program.stale(index, self._known):
                    raise Refused(f"{stale} is another one since it was read")
            try:
                found = code.run(self._known, self._source, self._parameters, whole=whole)
            except Changed as change:
                self._kept, self._known, self._ran, self._brief = {}, {}, set(), set()
                program.relearn(change)
                program.learn(self._source, self._parameters)
            except Moved:
                self._known, self._ran, self._brief = {}, set(), set()
                program.moved()
            except (TypeError, MemoryError, OverflowError) as error:
                raise Refused(f"arrays cannot: {error}") from error
            else:
                self._ran.add(index)
                self._brief |= set() if whole else {index}
                if whole and not code.ready and len(self._ran) == program.lowered:
                    program.keep(self._known, self._source)
                return found


def _written_over(queries: Sequence[LoweredQuery], found: Lowered) -> dict[Name, list[tuple[int, int]]]:
    """For each table the statements that do more than add rows: their places, and how many wrote it before."""
    unsure: dict[Name, list[tuple[int, int]]] = {}
    counts: dict[Name, int] = {}
    for place, (query, parts) in enumerate(zip(queries, found.parts, strict=True)):
        for table in query.writes:
            if query.tree is None or query.replaces or query.trims or not parts:
                unsure.setdefault(table, []).append((place, counts.get(table, 0)))
            counts[table] = counts.get(table, 0) + 1
    return unsure

"""The rows of a statement, put together from the arrays that its columns are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..labels import Labels
from ..lowering.relation import LoweredRelation
from ..node import Axis, Node, Refused, Value
from ..ports import Form, GridOutput
from . import align
from .text import Text


class ArrayResult:
    """What becomes the rows of a statement.

    Args:
        parts: the grids of which they are the cells.
        labels: the codes of their texts.

    Attributes:
        parts: the grids, and the forms of their rows.
        roots: the nodes that they are made of.
    """

    def __init__(self, parts: Sequence[LoweredRelation], labels: Labels) -> None:
        self.parts = tuple((part, _form(part, labels)) for part in parts)
        self.roots = roots_of(parts)
        text = Text()
        text.line(f"return {self.expression(text, lambda node: f'known[{text.name(node)}]')}")
        self._function = text.function(["known"])

    def of(self, known: Mapping[Node, Any]) -> list[GridOutput]:
        """The rows.

        Raises:
            Refused: there is none.
        """
        found: list[GridOutput] = self._function(known)
        return found

    def expression(self, text: Text, name: Callable[[Node], str]) -> str:
        """The same as an expression in a function's text, in which ``name`` tells what each node is called."""
        outputs = ", ".join(_output(part, form, text, name) for part, form in self.parts)
        sure = any(not part.axes and part.present is None for part, _ in self.parts)
        return f"[{outputs}]" if sure else f"{text.name(_some)}([{outputs}])"


def roots_of(parts: Sequence[LoweredRelation]) -> list[Node]:
    """The nodes that some grids are made of."""
    roots: list[Node] = []
    for part in parts:
        roots += [*part.scans, *(axis.origin for axis in part.axes)]
        roots += [part.present] if part.present is not None else []
        for column in part.columns:
            cells, valid = column.value.cells, column.value.valid
            roots += [cells, *([valid] if valid is not None else [])]
    return roots


def _some(outputs: list[GridOutput]) -> list[GridOutput]:
    # DataFusion gives the type that it first guessed where there is no row, e.g. that of CASE's first branch.
    if not any(output.count for output in outputs):
        raise Refused("the result has no row, and then its types may be others")
    return outputs


def _form(part: LoweredRelation, labels: Labels) -> Form:
    places = {axis: place for place, axis in enumerate(part.axes)}
    values = [column.value for column in part.columns]
    names = tuple(column.name for column in part.columns)
    dims = tuple(tuple(places[axis] for axis in _dims(value)) for value in values)
    coordinates = {
        name: places[value.dims[0]]
        for name, value in zip(names, values, strict=True)
        if value.cells.op == "coordinate" and value.valid is None
    }
    constants = tuple(place for place, value in enumerate(values) if not value.dims and value.valid is None)
    types, owned = tuple(value.type for value in values), tuple(map(_owned, values))
    nullable = any(value.valid is not None for value in values)
    return Form(len(part.axes), names, types, dims, coordinates, constants, nullable, labels, owned)


def _dims(value: Value) -> tuple[Axis, ...]:
    """The axes of a column's array in the result."""
    return value.cells.dims if value.valid is None or value.valid.dims == value.cells.dims else value.dims


def _owned(value: Value) -> bool:
    """Whether a column's array is a new one at each step, or the coordinates of an axis, which are nobody else's."""
    cells = value.cells
    return (
        not cells.dims
        or cells.op in ("map", "coordinate", "count", "sum by value", "count by value")
        or (cells.op == "sum" and cells.type == "float64")
    )


def _output(part: LoweredRelation, form: Form, text: Text, name: Callable[[Node], str]) -> str:
    lengths = [f"{name(axis.origin)}.coordinates" for axis in part.axes]
    cells, valid = [], []
    for column, dims in zip(part.columns, form.dims, strict=True):
        value = column.value
        if value.valid is None or value.valid.dims == value.cells.dims:
            cells.append(name(value.cells))
            valid.append("None" if value.valid is None else name(value.valid))
            continue
        shape = _tuple([f"len({lengths[place]})" for place in dims])
        for node, found in ((value.cells, cells), (value.valid, valid)):
            found.append(f"{text.name(np.broadcast_to)}({_aligned(node, value.dims, text, name)}, {shape})")
    present = "None"
    if part.present is not None:
        shape = _tuple([f"len({length})" for length in lengths])
        present = f"{text.name(_present)}({_aligned(part.present, part.axes, text, name)}, {shape})"
    given = [_tuple(lengths), _tuple(cells), _tuple(valid), present]
    return f"{text.name(GridOutput)}({text.name(form)}, {', '.join(given)})"


def _present(cells: Any, shape: tuple[int, ...]) -> Any:
    """Which cells of a grid are rows; None where all are."""
    return None if cells.all() else np.broadcast_to(cells, shape)


def _aligned(node: Node, want: tuple[Axis, ...], text: Text, name: Callable[[Node], str]) -> str:
    change = align.aligner(node.dims, want)
    return name(node) if change is None else f"{text.name(change)}({name(node)})"


def _tuple(items: Sequence[str]) -> str:
    return f"({', '.join(items)},)" if items else "()"

"""A program as bytes: functions of this package go by where they stand in it, without their code.

cloudpickle sends the code of a closure, and looks through all modules for each. Workers have this very package, so that
here a closure is its place in a module and what it closes over, and nothing runs there that workers have not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from io import BytesIO
from types import CellType, CodeType, FunctionType
from typing import Any
from zlib import crc32

_PACKAGE = __name__.split(".")[0]


def pickled(program: Any, note: Callable[[Any], None] = lambda value: None) -> bytes:
    """A program as it is sent; it holds no context, connection or open file of the notebook.

    Args:
        program: it.
        note: is told of the objects in it, as they are written.
    """
    from cloudpickle import Pickler

    class Sender(Pickler):
        def reducer_override(self, value: Any) -> Any:
            note(value)
            if type(value) is FunctionType and value.__module__.split(".")[0] == _PACKAGE:
                found = _reduced(value)
                if found is not None:
                    return found
            return super().reducer_override(value)

    out = BytesIO()
    Sender(out).dump(program)
    return out.getvalue()


def _reduced(function: FunctionType) -> tuple[Any, ...] | None:
    """How a closure is made again; None for a function that has a name, or stands nowhere in its module."""
    if getattr(sys.modules.get(function.__module__), function.__qualname__, None) is function:
        return None
    places = [n for n, code in enumerate(_codes(function.__module__)) if code == function.__code__]
    if not places:
        return None
    cells = tuple(map(_content, function.__closure__ or ()))
    made = (function.__module__, places[0], crc32(function.__code__.co_code), len(cells))
    return _function, made, (cells, function.__defaults__, function.__kwdefaults__), None, None, _fill


def _function(module: str, place: int, content: int, cells: int) -> FunctionType:
    codes = _codes(module)
    if place >= len(codes) or crc32(codes[place].co_code) != content:
        raise ImportError(f"{module} is not that of the notebook: No module named '{_PACKAGE}' in its version")
    scope = vars(import_module(module))
    return FunctionType(codes[place], scope, None, None, tuple(CellType() for _ in range(cells)))


def _fill(function: FunctionType, state: tuple[Sequence[tuple[Any, ...]], Any, Any]) -> None:
    cells, function.__defaults__, function.__kwdefaults__ = state
    for cell, content in zip(function.__closure__ or (), cells, strict=True):
        for value in content:
            cell.cell_contents = value


def _content(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # nothing has been put into it
        return ()


@cache
def _codes(module: str) -> Sequence[CodeType]:
    """The code of all functions of a module, in the order in which they stand."""
    spec = import_module(module).__spec__
    loader: Any = None if spec is None else spec.loader
    code = None if loader is None else loader.get_code(module)
    return () if code is None else tuple(_within(code))


def _within(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _within(constant)

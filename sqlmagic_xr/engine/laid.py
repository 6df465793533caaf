"""Rows that are the cells of a grid: labels along axes, and arrays over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Laid:
    """The rows of a query that lie as an array does, so that none of them has to be looked up by its labels.

    Attributes:
        axes: number of a column -> the labels along its axis, each of which is there once; in the order of the axes.
        cells: number of a column -> its cells, the last axis varying fastest.
    """

    axes: Mapping[int, pa.Array]
    cells: Mapping[int, pa.Array]

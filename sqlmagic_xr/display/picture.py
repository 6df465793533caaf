"""What a result is drawn as in a notebook, for ``%%xsql --plot``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..engine.result import Result


def picture(result: Result) -> Any:
    """The picture of a result, for IPython to show; nothing global is touched for it.

    Args:
        result: with rows; see :meth:`..engine.result.Result.plot`.
    """
    from IPython.display import Image
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    result.plot(ax=figure.subplots())
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return Image(buffer.getvalue())

"""A table whose weights and moments are columns, and the data that they are trained on."""

import numpy as np
import pyarrow as pa

from sqlmagic_xr import Context


def weights(count):
    """A context with so many of both in ``p``, beside ``d`` with as many features."""
    features = {f"f{i}": np.cos(np.arange(40.0) * (i + 1)) for i in range(count)}
    data = {"d": pa.table({"y": np.sin(np.arange(40.0)), **features})}
    ctx = Context(namespace=lambda: data)
    columns = [f"{kind}{i}" for kind in "wm" for i in range(count)]
    ctx.script(f"CREATE TABLE p (step BIGINT PRIMARY KEY, {', '.join(f'{c} DOUBLE' for c in columns)})")
    ctx.script(f"INSERT INTO p VALUES (0, {', '.join(str(0.1 * n) for n in range(len(columns)))})")
    return ctx

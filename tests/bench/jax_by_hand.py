"""The training runs of :mod:`.xla` as somebody writes them in JAX: many steps in one program, none of them kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.bench.harness import Answer

Step = Callable[[Any, Any, Any], Any]


def many(step: Step, begin: Any, data: Any, shown: Callable[[Any], Answer]) -> Callable[[int], Answer]:
    """What makes so many steps of ``(number, state, data) -> state`` in one call, compiled once."""

    def loop(count: Any, state: Any, data: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda number, state: step(number, state, data), state)

    with jax.enable_x64(True):
        held = jax.device_put((begin, data), jax.devices("cpu")[0])
        program = jax.jit(loop).lower(np.int64(0), *held).compile()

    def run(steps: int) -> Answer:
        with jax.enable_x64(True):
            return shown(jax.block_until_ready(program(np.int64(steps), *held)))

    return run


def line(x: np.ndarray, y: np.ndarray) -> Callable[[int], Answer]:
    """A straight line by gradient descent."""

    def step(_: Any, state: Any, data: Any) -> Any:
        (a, b), (x, y) = state, data
        error = y - (a * x + b)
        return a - 0.4 * jnp.mean(-2 * x * error), b - 0.4 * jnp.mean(-2 * error)

    return many(step, (np.float64(0), np.float64(0)), (x, y), np.array)


def adam(x: np.ndarray, y: np.ndarray) -> Callable[[int], Answer]:
    """Logistic regression with Adam."""

    def step(number: Any, state: Any, data: Any) -> Any:
        (w, m, v), (x, y) = state, data
        t = number + 1.0
        g = x.T @ (1 / (1 + jnp.exp(-(x @ w))) - y) / len(y)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        return w - 0.05 * m / (1 - 0.9**t) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v

    return many(step, tuple(np.zeros((3, x.shape[1]))), (x, y), lambda state: np.asarray(state[0]))


def network(
    begin: tuple[np.ndarray, ...], parts: list[tuple[np.ndarray, np.ndarray]], rate: float
) -> Callable[[int], Answer]:
    """A network of two layers, one batch after the other."""

    def step(number: Any, state: Any, data: Any) -> Any:
        w1, b1, w2, b2 = state
        x, y = (jax.lax.dynamic_index_in_dim(each, number % len(each), keepdims=False) for each in data)
        h = jnp.tanh(x @ w1 + b1)
        out = h @ w2 + b2
        e = jnp.exp(out - out.max(1, keepdims=True))
        d = (e / e.sum(1, keepdims=True) - y) / len(x)
        back = (d @ w2.T) * (1 - h * h)
        return w1 - rate * (x.T @ back), b1 - rate * back.sum(0), w2 - rate * (h.T @ d), b2 - rate * d.sum(0)

    x, y = (np.stack(each) for each in zip(*parts, strict=True))
    return many(step, begin, (x, y), lambda state: np.concatenate([np.ravel(each) for each in state]))


def k_means(images: np.ndarray, count: int) -> Callable[[int], Answer]:
    """Lloyd's algorithm."""

    def step(_: Any, centre: Any, images: Any) -> Any:
        nearest = ((images[:, None, :] - centre) ** 2).sum(2).argmin(1)
        belongs = (nearest[:, None] == jnp.arange(count)).astype(images.dtype)
        return belongs.T @ images / belongs.sum(0)[:, None]

    return many(step, images[:count].copy(), images, np.ravel)

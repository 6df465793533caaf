"""Derivatives of random queries: forward mode against central differences, reverse mode against forward mode."""

import os

import numpy as np
import pytest

from tests.autodiff.reverse.queries import Maker

PARTS, LOSSES = 4, 8
SHAPES = int(os.environ.get("GRADIENT_SHAPES", "12"))
"""How many queries there are, each with its losses; with GRADIENT_SHAPES=250 these are 2,000, in ten minutes."""


def check(setting, seed):
    """How many losses of a random query could be compared.

    What a loss changes by along a direction is what central differences say, and the gradients of all losses along it,
    each loss weighted, sum up to what the losses change by: <J t, c> = <t, J' c>.
    """
    ctes, names = Maker(seed, newer=0.5).losses(LOSSES)
    ahead, back, here = (setting.row(ctes, names, table) for table in ("wp", "wm", "w"))
    slope = (ahead - back) / (2 * setting.step)
    smooth = np.isfinite(slope) & (np.abs(ahead + back - 2 * here) <= 1e-7 * (1 + np.abs(here) + np.abs(slope)))
    forward = setting.along_each(ctes, names)
    scale = 1 + np.abs(slope) + np.abs(here)
    bad = smooth & ~(np.abs(forward - slope) <= 1e-5 * scale)
    assert not bad.any(), f"seed {seed}, {np.array(names)[bad]}: {forward[bad]} is not {slope[bad]}\n{ctes}"
    weights = np.where(np.isfinite(forward), np.cos(np.arange(LOSSES) + seed), 0.0)
    one = " + ".join(f"{float(c)!r} * loss.{n}" for c, n in zip(weights, names, strict=True) if c)
    if one:
        found, by_arrays = setting.both(ctes, loss=one)
        if by_arrays is not None:
            np.testing.assert_allclose(by_arrays, found, rtol=1e-9, atol=1e-9, err_msg=f"seed {seed}, arrays\n{ctes}")
        known = [~np.isnan(g) for g in found]
        assert [list(np.flatnonzero(~k)) for k in known] == setting.gaps
        adjoint = sum((g[k] * d[k]).sum() for g, k, d in zip(found, known, setting.direction, strict=True))
        expected = np.nansum(weights * forward)
        size = 1 + sum(np.abs(g[k] * d[k]).sum() for g, k, d in zip(found, known, setting.direction, strict=True))
        assert abs(adjoint - expected) <= 1e-9 * size, f"seed {seed}: {adjoint} is not {expected}\n{ctes}"
    return int(smooth.sum())


@pytest.mark.parametrize("part", range(PARTS))
def test_derivatives_of_random_queries(part, setting, shuffled):
    """Over rows in order and in disorder."""
    count = SHAPES // PARTS
    compared = sum(check((setting, shuffled)[seed % 2], seed) for seed in range(count * part, count * (part + 1)))
    assert compared >= 0.5 * count * LOSSES

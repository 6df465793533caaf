"""Pairs of SQL: what is written and what it becomes, compared as text; both are run, and so is the same by hand."""

import re
from pathlib import Path

import numpy as np
import pytest

from sqlmagic_xr.autodiff.rewrite import rewrite
from sqlmagic_xr.sql.syntax import parse_one, to_sql

FILES = sorted((Path(__file__).parent.parent / "golden").glob("*.sql"))


def parts(path):
    found = re.fullmatch(r"-- why: (.+?)\n(.+)\n-- becomes\n(.+)\n-- by hand\n(.+)\n", path.read_text(), re.DOTALL)
    assert found, f"{path.name} is not: -- why: ..., SQL, -- becomes, SQL, -- by hand, SQL"
    return found.groups()[1:]


def values(frame):
    return frame.to_arrow_table().to_pandas().to_numpy(dtype=float)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_pair_says_what_a_statement_becomes_and_both_compute_the_same(path, context):
    written, becomes, by_hand = parts(path)
    assert to_sql(rewrite(parse_one(written).tree, context.tables)) == becomes
    expected = values(context.sql(by_hand))
    assert expected.size
    np.testing.assert_allclose(values(context.sql(written)), expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(values(context.sql(becomes)), expected, rtol=1e-6, atol=1e-12)

"""A file whose quotes are forgotten is told from a table that is not there."""

import pytest

from sqlmagic_xr.errors import ParseError
from sqlmagic_xr.sql.endings import ENDINGS, unquoted
from sqlmagic_xr.sql.syntax import parse_one


@pytest.mark.parametrize("path", ["data/f.parquet", "./f.csv", "../a-b/f.nc", "~/x.ZARR"])
def test_a_path_without_quotes_is_told_to_stand_in_them(path):
    with pytest.raises(ParseError) as caught:
        _ = parse_one(f"SELECT 7 / 2, * FROM {path} WHERE a > 1").tree
    assert caught.value.hint == f"A file stands in quotes: FROM '{path}'."


def test_a_name_with_the_ending_of_a_file_is_a_files():
    assert all(unquoted(f"era5{ending}") for ending in ENDINGS)
    assert not any(map(unquoted, ("era5.surface", "csv", "f.csvx", "f.csv.gone")))


def test_what_is_wrong_elsewhere_says_nothing_of_a_file():
    with pytest.raises(ParseError) as caught:
        _ = parse_one("SELECT * FROM f.csv WHERE a / / 2").tree
    assert "quotes" not in (caught.value.hint or "")

"""An error points at the word, in a line that is narrow enough to be shown as one."""

import random

from sqlmagic_xr.errors import Span, point


def test_the_carets_stand_under_the_word_and_no_line_is_wide():
    letters = "".join(random.Random(3).choices("abcdefghijklmnopqrstuvwxyz ", k=400))
    for width in (1, 8, 60, 61, 200):
        for start in [*range(1, 80), *range(170, 180), *range(400 - width - 40, 401 - width)]:
            line, carets = point("first\n" + letters, Span(2, start, 2, start + width))
            marked = slice(carets.index("^"), len(carets))
            assert line[marked] == letters[start - 1 :][: min(width, 60)]
            assert len(line) <= 8 + 82
            shown = line.removeprefix("line 2: ")
            assert shown.strip("…") in letters
            assert (shown[0] == "…") is not letters.startswith(shown.strip("…"))
            assert (shown[-1] == "…") is not letters.endswith(shown.strip("…"))
            assert len(shown.strip("…")) == 80  # what is on one side is not lost where the other one is short


def test_a_line_of_eighty_characters_is_shown_whole():
    for length in (1, 79, 80):
        assert point("x" * length, Span(1, length, 1, length + 1)) == [
            f"line 1: {'x' * length}",
            " " * (7 + length) + "^",
        ]
    assert len(point("x" * 81, Span(1, 81, 1, 82))[0]) == 8 + 81

"""What the gradient through each operator becomes: ``golden/operators.sql`` beside the queries of ``operators``.

``python -m tests.autodiff.reverse.test_golden`` writes the file anew; whoever does reads what has changed. That the
text computes the right numbers is what ``test_operators`` says.
"""

from pathlib import Path

from sqlmagic_xr.autodiff.rewrite import rewrite
from sqlmagic_xr.sql.syntax import parse_one, to_sql
from tests.autodiff.reverse.conftest import gradient_of, made
from tests.autodiff.reverse.operators import DERIVATIVE

FILE = Path(__file__).parent / "golden" / "operators.sql"


def text(setting):
    lines = []
    for name, query in DERIVATIVE.items():
        tree = parse_one(gradient_of(f"WITH loss AS ({query})")).tree
        lines += [f"-- {name}", to_sql(rewrite(tree, setting.context.tables)), ""]
    return "\n".join(lines)


def test_each_operator_becomes_what_its_golden_text_says(setting):
    assert text(setting).splitlines() == FILE.read_text().splitlines()


if __name__ == "__main__":
    FILE.write_text(text(made(3, ({4}, {6}), disorder=False)))

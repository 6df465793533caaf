"""Who reads the parser's tree: sql/, relation/ and statements/; everyone else is named with the reason, and counted.

A raw key is one of the parser's own names, such as "CompoundIdentifier", in quotes. The counts may only fall: what is
written anew asks the bound query.
"""

import ast
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "sqlmagic_xr"
ROOMS = {"sql", "relation", "statements"}
WORDS = """
    Identifier CompoundIdentifier Function UnnamedExpr ExprWithAlias Wildcard QualifiedWildcard Select SetOperation
    Values Derived Table NestedJoin Subquery Exists InSubquery BinaryOp UnaryOp Nested Expressions LimitOffset Number
    SingleQuotedString Placeholder WindowSpec Unnamed Expr List On Using Natural CrossJoin Inner Left LeftOuter Right
    RightOuter FullOuter projection selection group_by having qualify order_by limit_clause cte_tables set_quantifier
    join_operator with body joins subquery
"""
KEYS = frozenset(WORDS.split())
# Room -> the most raw keys it may have, and why it has any.
KNOWN = {
    "engine/faults": (
        18,
        "a statement is gone through once, query by query and branch by branch",
    ),
    "engine": (74, "errors, files and listings look at statements of every kind; a query is asked of the bound query"),
    "engine/shapes.py": (30, "which table of a dataset of several a name means is chosen before anything is bound"),
    "engine/recursion": (67, "a recursive query is taken apart in statements of every kind, before they are planned"),
    "storage": (37, "pruning and the descriptions of tables read conditions of DML, which are not bound yet"),
    "train/steps": (24, "a statement is taken apart into its query and its target, whose columns get short names"),
    "autodiff": (10, "a statement is gone through branch by branch, and built anew around its derivatives"),
    "dense": (1, "the literal of a point in time is a piece that no expression has a form for"),
    "train/curves": (12, "the generations of a curve are put into FROM as a tree"),
    "train": (23, "a cell is taken apart into statements, and what MINIMIZE means is written as some"),
    "queries": (12, "the outermost ORDER BY is handed to the engine as a tree"),
    "queries/guard.py": (28, "the condition of a recursion is moved in the text that the engine is given"),
    "queries/naming.py": (12, "a recursion's term is brought to name its working table before it is bound"),
}


def room_of(path):
    """The longest room of KNOWN, or the top folder, that a file stands in; a file may be a room of its own."""
    place = path.relative_to(PACKAGE)
    found = [room for room in (*KNOWN, *ROOMS) if f"{place.as_posix()}/".startswith(f"{room}/")]
    return max(found, key=len, default=place.parent.as_posix())


def raw_keys(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return sum(isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value in KEYS for n in ast.walk(tree))


def test_only_the_rooms_of_trees_read_trees():
    counts = Counter()
    for path in PACKAGE.rglob("*.py"):
        counts[room_of(path)] += raw_keys(path)
    for room, count in counts.items():
        if room not in ROOMS and count:
            most = KNOWN.get(room, (0, ""))[0]
            assert count <= most, f"{room} has {count} raw keys of the parser, {most} at most: ask relation/ instead"

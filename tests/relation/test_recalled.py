"""What was made of a tree is found again for an equal one over tables that answer the same, and for no other."""

from sqlmagic_xr import Context
from sqlmagic_xr.autodiff import rewrite
from sqlmagic_xr.relation.recalled import Recalled
from sqlmagic_xr.sql.syntax import parse_one, to_sql

CELL = "SELECT p.k, grad(l.loss, p.a) AS d FROM p, (SELECT SUM(s.a * s.a) AS loss FROM p AS s) l"


def derived(definition, before=lambda context: None):
    context = Context()
    context.script(f"CREATE TABLE p ({definition})")
    before(context)
    return to_sql(context.prepare(parse_one(CELL)).tree)


def test_the_same_statement_in_another_context_is_derived_once(monkeypatch):
    known = Recalled(most=4)
    monkeypatch.setattr(rewrite, "_KNOWN", known)
    first = derived("k BIGINT PRIMARY KEY, a DOUBLE")
    assert derived("k BIGINT PRIMARY KEY, a DOUBLE") == first
    assert len(known) == 1
    derived("a DOUBLE, k BIGINT PRIMARY KEY")  # a star would be another one
    derived("k BIGINT PRIMARY KEY, a REAL")
    assert len(known) == 3


def test_a_rule_of_ones_own_is_no_other_contexts(monkeypatch):
    monkeypatch.setattr(rewrite, "_KNOWN", Recalled(most=4))
    sql = "SELECT grad(exp(p.a), p.a) AS d FROM p"

    def by(context):
        context.script("CREATE TABLE p (k BIGINT PRIMARY KEY, a DOUBLE)")
        return to_sql(context.prepare(parse_one(sql)).tree)

    plain, ruled = Context(), Context()
    ruled.register_derivative("exp", ["7.0"])
    assert "exp" in by(plain)
    assert "7.0" in by(ruled)
    assert "7.0" not in by(Context())


def test_what_was_asked_last_is_kept_longest():
    known = Recalled(most=2)
    for name in ("a", "b"):
        known.keep(name, (), {}, name.upper())
    assert known.find("a", (), None) == "A"
    known.keep("c", (), {}, "C")
    assert [known.find(name, (), None) for name in "abc"] == ["A", None, "C"]
    assert known.find("a", (1,), None) is None

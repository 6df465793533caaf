"""The functions there are, with how they are called."""

from __future__ import annotations

import datafusion

from sqlmagic_xr.engine.functions import functions


def test_the_engines_functions_and_the_derivatives_are_listed():
    session = datafusion.SessionContext()
    found = functions(session)
    assert found["power"].signature == "power(base, exponent)"
    assert found["date_trunc"].kind == "scalar"
    assert found["avg"].kind == "aggregate"
    assert found["row_number"].kind == "window"
    assert found["grad"].signature == "grad(expression, column)"
    assert list(found) == sorted(found)
    assert len(found) > 250
    assert all(f.signature.lower().startswith(f"{name}(") for name, f in found.items())

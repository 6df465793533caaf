"""The same SQL in other words: every spelling of a table's name, quoted and upper-case columns."""

from sqlmagic_xr.sql.lexer import TokenKind, tokens

DEFAULTS = ("public.", "datafusion.public.", "PUBLIC.", '"public".', "DataFusion.Public.")


def of_a_table(name):
    """Every spelling of a table of the default schema whose name is a plain word."""
    words = (name, name.upper(), f'"{name}"')
    return [*words, *(schema + word for schema in DEFAULTS for word in words)]


def respelled(text, tables, pick, columns=()):
    """A text in which the names of tables and columns are spelled in another way that means the same.

    Args:
        text: the SQL.
        tables: the names of tables that stand in it, plain words.
        pick: is given a list of spellings, returns one.
        columns: what is spelled anew: a dict to the name that each has instead (``{"a": "A b"}``), which is
            then quoted, or a list of names, which stay and are written in capitals or quoted.
    """
    found = [t for t in tokens(text) if t.kind is not TokenKind.COMMENT]
    words = [t for t in found if t.kind is not TokenKind.SPACE]
    new = {}
    for before, token, after in zip([None, *words], words, [*words[1:], None], strict=False):
        name = token.text
        if token.kind is not TokenKind.WORD:
            continue
        if name in columns:
            renamed = columns[name] if isinstance(columns, dict) else name
            new[token.start] = f'"{renamed}"' if isinstance(columns, dict) else pick([name, name.upper(), f'"{name}"'])
        elif name in tables:
            qualifies = after is not None and after.text == "."
            other = before is not None and (before.text == "." or _names_anew(before))
            new[token.start] = name if other else pick([name, name.upper(), f'"{name}"'] if qualifies
                                                       else of_a_table(name))  # fmt: skip
    return "".join(new.get(token.start, token.text) for token in found)


def _names_anew(before):
    """Whether a word behind this one is an alias or a column of its own, not a table."""
    return before.text.upper() not in ("FROM", "JOIN", "INTO", ",", "TABLE", "UPDATE", "VIEW", "EXISTS")

"""Statements that change tables: insert, update, merge, tables made and altered; each a query and one commit."""

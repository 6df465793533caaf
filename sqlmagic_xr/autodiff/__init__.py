"""Expression -> expression: derivatives of SQL, before any engine sees it."""

"""What is meant by a function of another engine: its name -> how it is said here.

Looked at only where there is no function of that name, so that what the engine learns one day is the engine's.
"""

from __future__ import annotations

from collections.abc import Mapping

_DATE_PARTS = {
    "year": "year", "quarter": "quarter", "month": "month", "day": "day", "hour": "hour", "minute": "minute",
    "second": "second", "week": "week", "weekofyear": "week", "dayofweek": "dow", "weekday": "dow", "dayofyear": "doy",
    "dayofmonth": "day", "epoch": "epoch", "unix_timestamp": "epoch",
}  # fmt: skip

SAID: Mapping[str, str] = {
    **{name: f"date_part('{part}', t)" for name, part in _DATE_PARTS.items()},
    "monthname": "to_char(t, '%B')",
    "dayname": "to_char(t, '%A')",
    "strftime": "to_char(t, '%Y-%m')",
    "strptime": "to_timestamp(s, '%Y-%m-%d')",
    "datetime": "to_timestamp(s)",
    "date": "CAST(s AS DATE)",
    "getdate": "now()",
    "sysdate": "now()",
    "time_bucket": "date_bin(INTERVAL '1 day', t)",
    "dateadd": "t + INTERVAL '1 day'",
    "date_add": "t + INTERVAL '1 day'",
    "date_sub": "t - INTERVAL '1 day'",
    "datediff": "date_part('epoch', t - u) / 86400",
    "date_diff": "date_part('epoch', t - u) / 86400",
    "timestampdiff": "date_part('epoch', t - u)",
    "last_day": "date_trunc('month', t) + INTERVAL '1 month' - INTERVAL '1 day'",
    "if": "CASE WHEN x > 0 THEN x ELSE 0 END",
    "iff": "CASE WHEN x > 0 THEN x ELSE 0 END",
    "iif": "CASE WHEN x > 0 THEN x ELSE 0 END",
    "isnull": "x IS NULL",
    "len": "length(s)",
    "locate": "strpos(s, 'a')",
    "charindex": "strpos(s, 'a')",
    "mid": "substr(s, 1, 2)",
    "format": "concat('x = ', x)",
    "printf": "concat('x = ', x)",
    "regexp_matches": "regexp_like(s, 'a')",
    "regexp_extract": "regexp_match(s, 'a(b)')[1]",
    "regexp_substr": "regexp_match(s, 'a(b)')[1]",
    "columns": "* EXCLUDE (x)",
    "hash": "md5(s)",
    "struct_pack": "{'a': x}",
    "group_concat": "string_agg(s, ',')",
    "listagg": "string_agg(s, ',')",
    "list": "array_agg(x)",
    "first": "first_value(x ORDER BY t)",
    "last": "last_value(x ORDER BY t)",
    "any_value": "first_value(x)",
    "arg_max": "first_value(x ORDER BY y DESC)",
    "argmax": "first_value(x ORDER BY y DESC)",
    "max_by": "first_value(x ORDER BY y DESC)",
    "arg_min": "first_value(x ORDER BY y)",
    "argmin": "first_value(x ORDER BY y)",
    "min_by": "first_value(x ORDER BY y)",
    "quantile": "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)",
    "percentile": "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)",
    "approx_quantile": "approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY x)",
    "std": "stddev(x)",
    "stdev": "stddev(x)",
    "stdevp": "stddev_pop(x)",
    "variance": "var_samp(x)",
    "varp": "var_pop(x)",
    "count_if": "COUNT(*) FILTER (WHERE x > 0)",
    "countif": "COUNT(*) FILTER (WHERE x > 0)",
    "sum_if": "SUM(x) FILTER (WHERE x > 0)",
    "sumif": "SUM(x) FILTER (WHERE x > 0)",
    "avg_if": "AVG(x) FILTER (WHERE x > 0)",
    "product": "exp(SUM(ln(x)))",
    "square": "power(x, 2)",
    "sqr": "power(x, 2)",
    "truncate": "trunc(x)",
    "isinf": "abs(x) = 'Infinity'::DOUBLE",
    "sigmoid": "1 / (1 + exp(-x))",
    "logistic": "1 / (1 + exp(-x))",
    "relu": "greatest(x, 0)",
    "softplus": "ln(1 + exp(x))",
    "softmax": "exp(x) / SUM(exp(x)) OVER ()",
    "json_extract": "s -> 'key'",
    "json_extract_string": "s ->> 'key'",
    "json_value": "s ->> 'key'",
}
"""Over times t and u, numbers x and y, and a text s."""

BESIDE: Mapping[str, str] = {"len": "a list: array_length(a)"}
"""What is to be said beside that, where a function is meant of two kinds of values."""

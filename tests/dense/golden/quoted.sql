-- why: quoted names mean themselves
SELECT "Row" AS r, "A b" * 2 AS y FROM "Big" WHERE "A b" > 1
-- becomes
n0: float64 [] = scan Big[Row]: A b()
n1: float64 [Big.Row] = cells('A b', False)(n0)
n2: float64 [] = constant 1.0()
n3: boolean [Big.Row] = map float >(n1, n2)
n4: float64 [] = restrict(axis, n3)
n5: int64 [restrict(Big.Row)] = coordinate(n4)
n6: float64 [restrict(Big.Row)] = take(n1, n4)
n7: float64 [] = constant 2.0()
n8: float64 [restrict(Big.Row)] = map *(n6, n7)
r = n5
y = n8

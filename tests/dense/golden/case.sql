-- why: CASE and coalesce, cell by cell
SELECT s, i, CASE WHEN v > :lr THEN v ELSE 0.0 END AS r FROM x
-- becomes
n0: float64 [] = scan x[s, i]: v()
n1: int64 [x.s] = coordinate(axis)
n2: int64 [x.i] = coordinate(axis)
n3: float64 [x.s, x.i] = cells('v', False)(n0)
n4: float64 [] = parameter lr()
n5: boolean [x.s, x.i] = map float >(n3, n4)
n6: float64 [] = constant 0.0()
n7: float64 [x.s, x.i] = map where(n5, n3, n6)
s = n1
i = n2
r = n7

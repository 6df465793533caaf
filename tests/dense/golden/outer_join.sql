-- why: what has no partner is NULL
SELECT x.s, x.i, b.v FROM x LEFT JOIN b ON b.o = x.i
-- becomes
n0: float64 [] = scan x[s, i]: v()
n1: int64 [x.s] = coordinate(axis)
n2: int64 [x.i] = coordinate(axis)
n3: float64 [] = scan b[o]: v()
n4: float64 [b.o] = cells('v', False)(n3)
n5: float64 [] = partner(axis, axis, n2)
n6: float64 [x.i] = take(n4, n5)
n7: boolean [x.i] = found(n5)
s = n1
i = n2
v = n6 where n7

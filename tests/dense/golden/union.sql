-- why: UNION ALL is several relations
SELECT i AS n, v FROM mean UNION ALL SELECT o, v FROM b
-- becomes
n0: float64 [] = scan x[s, i]: v()
n1: int64 [x.i] = coordinate(axis)
n2: float64 [x.s, x.i] = cells('v', False)(n0)
n3: float64 [x.i] = sum(n2)
n4: int64 [] = size(axis)
n5: int64 [] = count 0(n4)
n6: float64 [] = map to float64(n5)
n7: float64 [x.i] = map /(n3, n6)
n8: float64 [] = scan b[o]: v()
n9: int64 [b.o] = coordinate(axis)
n10: float64 [b.o] = cells('v', False)(n8)
n = n1
v = n7
o = n9
v = n10

-- why: a join summed over the shared axis is a product of matrices
SELECT x.s, w.o, SUM(x.v * w.v) AS z FROM x JOIN w ON w.i = x.i WHERE w.step = :k GROUP BY x.s, w.o
-- becomes
n0: float64 [] = scan x[s, i]: v()
n1: int64 [x.s] = coordinate(axis)
n2: int64 [] = parameter k()
n3: float64 [] = scan w[i, o] step = ...: v(n2)
n4: int64 [w.o] = coordinate(axis)
n5: float64 [x.s, x.i] = cells('v', False)(n0)
n6: float64 [] = match(axis, axis)
n7: float64 [x.s, match(w.i, x.i)] = take(n5, n6)
n8: float64 [w.i, w.o] = cells('v', False)(n3)
n9: float64 [match(w.i, x.i), w.o] = take(n8, n6)
n10: float64 [x.s, w.o] = sum(n7, n9)
s = n1
o = n4
z = n10

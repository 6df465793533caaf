-- why: a layer of a network: a product, a bias and a function of cells
SELECT q.s, q.o, tanh(q.z + b.v) AS h FROM (SELECT x.s, w.o, SUM(x.v * w.v) AS z FROM x JOIN w ON w.i = x.i AND w.step = :k GROUP BY x.s, w.o) q JOIN b ON b.o = q.o
-- becomes
n0: float64 [] = scan x[s, i]: v()
n1: int64 [x.s] = coordinate(axis)
n2: float64 [] = scan b[o]: v()
n3: int64 [] = parameter k()
n4: float64 [] = scan w[i, o] step = ...: v(n3)
n5: float64 [] = match(axis, axis)
n6: int64 [match(b.o, w.o)] = coordinate(n5)
n7: float64 [x.s, x.i] = cells('v', False)(n0)
n8: float64 [] = match(axis, axis)
n9: float64 [x.s, match(w.i, x.i)] = take(n7, n8)
n10: float64 [w.i, w.o] = cells('v', False)(n4)
n11: float64 [match(w.i, x.i), w.o] = take(n10, n8)
n12: float64 [x.s, w.o] = sum(n9, n11)
n13: float64 [x.s, match(b.o, w.o)] = take(n12, n5)
n14: float64 [b.o] = cells('v', False)(n2)
n15: float64 [match(b.o, w.o)] = take(n14, n5)
n16: float64 [x.s, match(b.o, w.o)] = map +(n13, n15)
n17: float64 [x.s, match(b.o, w.o)] = map tanh(n16)
s = n1
o = n6
h = n17

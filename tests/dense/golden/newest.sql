-- why: the newest row is read at its key
SELECT x.s, SUM(x.v * newest.a) AS t FROM x CROSS JOIN newest GROUP BY x.s
-- becomes
n0: float64 [] = scan x[s, i]: v()
n1: int64 [x.s] = coordinate(axis)
n2: float64 [x.s, x.i] = cells('v', False)(n0)
n3: float64 [] = scan max step of p()
n4: int64 [] = cells('step', False)(n3)
n5: float64 [] = scan p[] step = ...: a, c(n4)
n6: float64 [] = cells('a', False)(n5)
n7: float64 [x.s] = sum(n2, n6)
s = n1
t = n7

-- why: a view is the relation that its query is
SELECT x.s, x.v - mean.v AS d FROM x JOIN mean ON mean.i = x.i
-- becomes
n0: float64 [] = scan x[s, i]: v()
n1: int64 [x.s] = coordinate(axis)
n2: float64 [x.s, x.i] = cells('v', False)(n0)
n3: float64 [x.s, x.i'] = same(n2)
n4: float64 [x.i] = sum(n2)
n5: int64 [] = size(axis)
n6: int64 [] = count 0(n5)
n7: float64 [] = map to float64(n6)
n8: float64 [x.i] = map /(n4, n7)
n9: float64 [x.i'] = same(n8)
n10: float64 [x.s, x.i'] = map -(n3, n9)
s = n1
d = n10

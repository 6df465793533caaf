-- why: a CTE that is read twice is calculated once
WITH m AS (SELECT i, AVG(v) AS v FROM x GROUP BY i) SELECT SUM((x.v - m.v) * (x.v - m.v)) AS q FROM x JOIN m ON m.i = x.i
-- becomes
n0: float64 [] = scan x[s, i]: v()
n1: float64 [x.s, x.i] = cells('v', False)(n0)
n2: float64 [x.s, x.i'] = same(n1)
n3: float64 [x.i] = sum(n1)
n4: int64 [] = size(axis)
n5: int64 [] = count 0(n4)
n6: float64 [] = map to float64(n5)
n7: float64 [x.i] = map /(n3, n6)
n8: float64 [x.i'] = same(n7)
n9: float64 [x.s, x.i'] = map -(n2, n8)
n10: float64 [x.s, x.i'] = map *(n9, n9)
n11: float64 [] = sum(n10)
q = n11

-- why: GROUP BY a column that is no axis has the axis of its distinct values
SELECT v > 0 AS up, COUNT(*) AS n FROM (SELECT o, v FROM b) q GROUP BY v > 0
-- becomes
n0: float64 [] = scan b[o]: v()
n1: float64 [b.o] = cells('v', False)(n0)
n2: float64 [] = constant 0.0()
n3: boolean [b.o] = map float >(n1, n2)
n4: float64 [] = distinct(axis, n3)
n5: boolean [distinct(b.o)] = coordinate(n4)
n6: boolean [b.o, distinct(b.o)] = member(n4)
n7: int64 [distinct(b.o)] = count 1(n6)
n8: int64 [] = constant 0()
n9: boolean [distinct(b.o)] = map >(n7, n8)
up = n5
n = n7
rows where n9

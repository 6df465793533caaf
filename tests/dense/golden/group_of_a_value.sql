-- why: GROUP BY a column that is no axis has the axis of its distinct values, and each row is counted where its own stands
SELECT v > 0 AS up, COUNT(*) AS n FROM (SELECT o, v FROM b) q GROUP BY v > 0
-- becomes
n0: float64 [] = scan b[o]: v()
n1: float64 [b.o] = cells('v', False)(n0)
n2: float64 [] = constant 0.0()
n3: boolean [b.o] = map float >(n1, n2)
n4: float64 [] = distinct(axis, n3)
n5: boolean [distinct(b.o)] = coordinate(n4)
n6: int64 [distinct(b.o)] = count by value 0(n4)
n7: int64 [] = constant 0()
n8: boolean [distinct(b.o)] = map >(n6, n7)
up = n5
n = n6
rows where n8

-- why: an aggregate without GROUP BY is one number
SELECT AVG(v) AS m, COUNT(*) AS n FROM x WHERE v > 0
-- becomes
n0: float64 [] = scan x[s, i]: v()
n1: float64 [x.s, x.i] = cells('v', False)(n0)
n2: float64 [] = constant 0.0()
n3: boolean [x.s, x.i] = map float >(n1, n2)
n4: float64 [] = sum(n1, n3)
n5: int64 [] = count 1(n3)
n6: float64 [] = map to float64(n5)
n7: float64 [] = map /(n4, n6)
n8: int64 [] = constant 0()
n9: boolean [] = map >(n5, n8)
m = n7 where n9
n = n5

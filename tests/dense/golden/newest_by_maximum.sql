-- why: so is the row of the greatest key
SELECT a FROM p WHERE step = (SELECT MAX(step) FROM p)
-- becomes
n0: float64 [] = scan max step of p()
n1: int64 [] = cells('step', False)(n0)
n2: float64 [] = scan p[] step = ...: a, c(n1)
n3: float64 [] = cells('a', False)(n2)
a = n3

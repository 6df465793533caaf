"""Tables as grids of arrays, for steps and for queries: Arrow and scratch tables read, results written."""

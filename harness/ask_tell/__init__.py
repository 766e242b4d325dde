"""Black-box methods over a judge that has a table: ask, look up, charge, tell, record."""

"""One CalcJob per program."""

"""One parser per program."""

"""Parsers of the calculation jobs, one for each program."""

"""Calculation jobs, one for each program."""

"""Errors, report cards, criteria of acceptance and speed."""

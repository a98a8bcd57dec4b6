"""Committees, exploration and the loops that learn from it."""

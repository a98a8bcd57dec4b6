"""Committees, exploration, and active-learning loops."""

"""Calcfunctions that create frames and structures from other nodes."""

"""Calcfunctions that make frames and structures from others."""

"""Calcfunctions, one per file: the only Python that makes Data from Data."""

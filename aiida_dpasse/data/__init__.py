"""Data nodes: frames and potentials."""

"""VASP's settings and output."""

"""Measured ionic conductivities of lithium electrolytes."""

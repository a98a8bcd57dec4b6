"""Plots, tables and lineage read from nodes."""

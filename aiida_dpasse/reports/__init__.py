"""Plots, tables and frame lineage generated from nodes."""

"""Conversion of DP-GEN input files, and export of data sets in the format of DP-GEN."""

"""Admission of labels, their records, and how answers of programs are read."""

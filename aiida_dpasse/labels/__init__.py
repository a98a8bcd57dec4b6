"""Acceptance of labels, their records, and the evaluation of program output."""

"""Prediction errors, report cards, acceptance criteria and speed of potentials."""

"""Distillation of potentials and acceptance tests of the student."""

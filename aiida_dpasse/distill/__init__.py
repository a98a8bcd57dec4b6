"""Distillation and the acceptance of a student."""

"""Trainings, fine-tuning and learning curves."""

"""Training, fine-tuning and learning curves."""

"""What a potential is worth: errors, test sets, speed, locality, comparison of models."""

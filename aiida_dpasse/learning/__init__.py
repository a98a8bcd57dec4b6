"""Selection of frames and convergence criteria of active learning."""

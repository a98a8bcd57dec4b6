"""Selection of frames and convergence of active learning."""

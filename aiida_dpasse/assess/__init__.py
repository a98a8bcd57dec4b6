"""Assessment of potentials: errors, test sets, speed, locality of the forces, and model studies."""

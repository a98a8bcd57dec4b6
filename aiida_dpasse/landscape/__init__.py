"""Energy landscape of a crystal: the range of the forces on its ions."""

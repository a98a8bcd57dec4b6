"""Labels with a program of the user, through aiida-shell."""

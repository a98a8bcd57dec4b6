"""Small programs that run on the compute machine, with only that machine's Python."""

"""CP2K's files: input of labelling jobs, and what they write."""

"""CP2K: input of labelling jobs and parsing of the output."""

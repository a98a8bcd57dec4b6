"""Infrastructure that all work chains share: submission, restarts, protocols and input validation."""

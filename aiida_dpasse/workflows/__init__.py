"""The work chains."""

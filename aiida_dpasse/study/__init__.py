"""The whole study of an electrolyte."""

"""The complete study of an electrolyte."""

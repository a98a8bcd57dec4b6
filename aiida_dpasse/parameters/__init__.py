"""Parameters of every process as pydantic models: validated once, stored with their defaults, accessed by name."""

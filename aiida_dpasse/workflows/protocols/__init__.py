"""Physics (protocols) as YAML, and its loader."""

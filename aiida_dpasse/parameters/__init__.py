"""Settings of every process as models: checked once, dumped with their defaults, read by name."""

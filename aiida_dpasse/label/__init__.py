"""Labels: one interface, its sources, and the first data."""

"""Drivers: small programs that run in the Python of the remote computer."""

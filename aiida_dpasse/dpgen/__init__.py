"""DP-GEN's files: what its parameters are here, and data as it collects them."""

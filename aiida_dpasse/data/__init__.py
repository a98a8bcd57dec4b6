"""The nodes of the chain: frames and potentials."""

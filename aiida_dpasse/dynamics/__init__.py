"""Molecular dynamics and the properties derived from it: diffusion, conductivity, convergence."""

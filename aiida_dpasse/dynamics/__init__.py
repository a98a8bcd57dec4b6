"""Molecular dynamics and what it gives: diffusion, conductivity, convergence."""

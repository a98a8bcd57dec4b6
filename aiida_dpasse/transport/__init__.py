"""Displacement statistics, diffusion, conductivity, Arrhenius fits and van Hove functions; independent of AiiDA."""

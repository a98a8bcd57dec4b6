"""Displacement statistics, diffusion, conductivity, Arrhenius, van Hove; knows nothing of AiiDA."""

"""Supercells, perturbation, doping and site disorder; independent of AiiDA."""

"""Supercells, perturbation, doping and site disorder; knows nothing of AiiDA."""

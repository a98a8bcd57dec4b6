"""LAMMPS input script, data file, dump and log reading; knows nothing of AiiDA."""

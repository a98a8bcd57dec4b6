"""Writing of LAMMPS input scripts and data files, reading of dumps and logs; independent of AiiDA."""
